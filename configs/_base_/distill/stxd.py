# STXD (NeurIPS 2023) between CenterHeads: correlation of channels (cd) and similarity to the teacher's past (td) at the
# cells where the teacher's heatmap is highest, and the teacher's detections at their cells (rd). The paper's students are
# of the DETR type (stxd_query.py); its code is not published and its weights are not known: these follow from the size of
# each term (cd about the number of channels at first, td and rd a few units).
#
# For maps of 384 (CenterPoint's pillars) and 256 channels. The teacher must see its past (past=True in its preprocessor)
# and run its heads (forward='tensor').
distill_hooks = [
    dict(type='mono_distill.DistillScheduleHook'),
    dict(type='mono_distill.TeacherCheckHook', metric='NuScenes/mAP'),
]
teacher_forward = 'tensor'
# Over the first epoch all terms grow from zero.
warm_up = dict(kind='linear', begin=0, until=1, start=0.0, end=1.0)
sampler = dict(type='mono_distill.BEVTopKSampler', k=900)
distill = dict(
    taps=dict(
        s_bev='student:bev',
        s_heads='student:heads',
        t_bev='lidar:bev',
        t_heads='lidar:heads',
        t_past='lidar:past_bev',
        t_past_heads='lidar:past_heads',
        past_exists='lidar:past_exists',
    ),
    adapters=dict(
        # The student's channels become the teacher's by one linear layer.
        s_points=dict(sampler, project=(256, 384), inputs=dict(features='s_bev', heatmap='t_heads')),
        t_points=dict(sampler, inputs=dict(features='t_bev', heatmap='t_heads')),
        past_points=dict(sampler, inputs=dict(features='t_past', heatmap='t_past_heads')),
    ),
    targets=dict(
        objects=dict(type='mono_distill.GTBoxCodes', inputs='data_samples'),
        detections=dict(
            type='mono_distill.CenterPredictions',
            x_range=(-51.2, 51.2),
            y_range=(-51.2, 51.2),
            topk=300,
            score_thr=0.1,
            inputs='t_heads',
        ),
        quality=dict(
            type='mono_distill.MatchedQuality', gamma=0.5, inputs=dict(predictions='detections', objects='objects')
        ),
    ),
    losses=dict(
        cd=dict(
            type='mono_distill.CrossCorrelationLoss',
            log_dimensions=True,
            weight=0.02,
            schedule=warm_up,
            inputs=dict(student='s_points', teacher='t_points'),
        ),
        td=dict(
            type='mono_distill.TemporalSimilarityLoss',
            weight=0.5,
            schedule=warm_up,
            inputs=dict(student='s_points', teacher='t_points', past='past_points', past_valid='past_exists'),
        ),
        rd=dict(
            type='mono_distill.CenterDetectionLoss',
            weight=0.25,
            schedule=warm_up,
            inputs=dict(student='s_heads', teacher='t_heads', detections='detections', quality='quality'),
        ),
    ),
)

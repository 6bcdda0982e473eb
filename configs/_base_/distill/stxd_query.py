# STXD (NeurIPS 2023) on a student with object queries (BEVFormer), from CenterPoint: correlation of channels (cd) and
# similarity to the teacher's past (td) at the places of the student's last queries, and the teacher's detections, matched
# with the queries of every decoder layer (rd). There is no published code, and the paper's weights are not known: these
# follow from the size of each term (cd about the number of channels at first, td and rd a few units).
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
sampler = dict(type='mono_distill.BEVQuerySampler', x_range=(-51.2, 51.2), y_range=(-51.2, 51.2))
distill = dict(
    taps=dict(
        s_bev='student:bev',
        s_queries='student:queries',
        t_bev='lidar:bev',
        t_heads='lidar:heads',
        t_past='lidar:past_bev',
        past_exists='lidar:past_exists',
    ),
    adapters=dict(
        # The student's channels become the teacher's by one linear layer.
        s_points=dict(sampler, project=(256, 384), inputs=dict(features='s_bev', queries='s_queries')),
        t_points=dict(sampler, inputs=dict(features='t_bev', queries='s_queries')),
        past_points=dict(sampler, inputs=dict(features='t_past', queries='s_queries')),
    ),
    targets=dict(
        objects=dict(type='mono_distill.GTBoxCodes', inputs='data_samples'),
        detections=dict(
            type='mono_distill.CenterPredictions',
            x_range=(-51.2, 51.2),
            y_range=(-51.2, 51.2),
            topk=300,
            score_thr=0.05,
            inputs='t_heads',
        ),
        quality=dict(
            type='mono_distill.MatchedQuality', gamma=0.5, inputs=dict(predictions='detections', objects='objects')
        ),
        pairs=dict(
            type='mono_distill.QueryPairs', inputs=dict(student='s_queries', teacher='detections', quality='quality')
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
            type='mono_distill.QueryResponseLoss',
            weight=0.25,
            schedule=warm_up,
            inputs=dict(student='s_queries', teacher='detections', quality='quality', pairs='pairs'),
        ),
    ),
)

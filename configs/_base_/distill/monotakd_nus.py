# MonoTAKD between BEVDepth students and CenterPoint (the released code is for KITTI alone; how it does nuScenes is not
# known). IMD: the student's lifted map follows that of an assistant which is told the depth.
# CMRD: teacher and assistant are networks of different kinds, with channels of their own, so a convolution first learns
# to say the assistant's map in the teacher's channels (align; it teaches the student nothing). What is left is the
# residual; a convolution on the student's map, dropped after training like any adapter, imitates it. Heads: classes
# and boxes at the teacher's detections (STXD's term). The student's own losses go on.
#
# For maps of 384 (teacher) and 256 channels.
distill_hooks = [dict(type='mono_distill.TeacherCheckHook', metric='NuScenes/mAP')]
teacher_forward = 'tensor'
adapter = dict(type='mono_distill.ConvAdapter', channels=[256], out_channels=[384])
distill = dict(
    taps=dict(
        s_raw='student:bev_raw',
        s_bev='student:bev',
        s_heads='student:heads',
        a_raw='assistant:bev_raw',
        a_bev='assistant:bev',
        t_bev='lidar:bev',
        t_heads='lidar:heads',
    ),
    adapters=dict(s_maps=dict(adapter, inputs='s_bev'), a_maps=dict(adapter, inputs='a_bev')),
    targets=dict(
        # Everything that is left counts: the aligned maps differ nowhere by much.
        residual=dict(
            type='mono_distill.ResidualTarget', threshold=0.0, inputs=dict(teacher='t_bev', assistant='a_maps')
        ),
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
        imd=dict(type='mono_distill.FeatureMSELoss', weight=1.0, inputs=dict(student='s_raw', teacher='a_raw')),
        align=dict(type='mono_distill.FeatureMSELoss', weight=1.0, inputs=dict(student='a_maps', teacher='t_bev')),
        cmrd=dict(type='mono_distill.FeatureMSELoss', weight=1.0, inputs=dict(student='s_maps', teacher='residual')),
        response=dict(
            type='mono_distill.CenterDetectionLoss',
            weight=0.25,
            inputs=dict(student='s_heads', teacher='t_heads', detections='detections', quality='quality'),
        ),
    ),
)

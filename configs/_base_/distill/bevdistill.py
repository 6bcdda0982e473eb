# BEVDistill (ICLR 2023) between CenterHeads: squared distance of the maps in Gaussians at the objects, and the teacher's
# detections at their cells weighed by their scores (the paper's students have queries). The instance-wise contrast of
# object queries has no counterpart here. For maps of 256 (student) and 384 channels.
distill_hooks = [dict(type='mono_distill.TeacherCheckHook', metric='NuScenes/mAP')]
teacher_forward = 'tensor'
bev = dict(x_range=(-51.2, 51.2), y_range=(-51.2, 51.2))
distill = dict(
    taps=dict(s_bev='student:bev', s_heads='student:heads', t_bev='lidar:bev', t_heads='lidar:heads'),
    adapters=dict(
        s_maps=dict(type='mono_distill.ConvAdapter', channels=[256], out_channels=[384], inputs='s_bev'),
    ),
    targets=dict(
        objects=dict(type='mono_distill.GTBoxCodes', inputs='data_samples'),
        mask=dict(
            type='mono_distill.BEVGaussianMask',
            size=(128, 128),
            inputs=dict(boxes='objects[boxes]', valid='objects[mask]'),
            **bev,
        ),
        detections=dict(type='mono_distill.CenterPredictions', topk=100, inputs='t_heads', **bev),
    ),
    losses=dict(
        # Officially 0.01 for a sum over 256 channels.
        foreground=dict(
            type='mono_distill.GaussianForegroundLoss',
            weight=0.01,
            inputs=dict(student='s_maps', teacher='t_bev', mask='mask'),
        ),
        response=dict(
            type='mono_distill.CenterDetectionLoss',
            weight=0.25,
            inputs=dict(student='s_heads', teacher='t_heads', detections='detections', quality='detections[scores]'),
        ),
    ),
)

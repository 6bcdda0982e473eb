# UniDistill (CVPR 2023): features at nine key points of every box, their relations, and the heads' maps in Gaussians at
# the objects, with the released weights 100, 40 and 10. For maps of 256 (student) and 384 channels.
distill_hooks = [dict(type='mono_distill.TeacherCheckHook', metric='NuScenes/mAP')]
teacher_forward = 'tensor'
bev = dict(x_range=(-51.2, 51.2), y_range=(-51.2, 51.2))
distill = dict(
    taps=dict(s_bev='student:bev', s_heads='student:heads', t_bev='lidar:bev', t_heads='lidar:heads'),
    adapters=dict(
        s_maps=dict(type='mono_distill.ConvAdapter', channels=[256], out_channels=[384], inputs='s_bev'),
        s_points=dict(
            type='mono_distill.BEVKeyPointSampler', inputs=dict(features='s_maps', boxes='objects[boxes]'), **bev
        ),
        t_points=dict(
            type='mono_distill.BEVKeyPointSampler', inputs=dict(features='t_bev', boxes='objects[boxes]'), **bev
        ),
    ),
    targets=dict(
        objects=dict(type='mono_distill.GTBoxCodes', inputs='data_samples'),
        mask=dict(
            type='mono_distill.BEVGaussianMask',
            size=(128, 128),
            min_overlap=0.7,
            min_radius=0,
            inputs=dict(boxes='objects[boxes]', valid='objects[mask]'),
            **bev,
        ),
    ),
    losses=dict(
        feature=dict(
            type='mono_distill.KeyPointFeatureLoss',
            weight=100.0,
            inputs=dict(student='s_points', teacher='t_points', valid='objects[mask]'),
        ),
        relation=dict(
            type='mono_distill.KeyPointRelationLoss',
            weight=40.0,
            inputs=dict(student='s_points', teacher='t_points', valid='objects[mask]'),
        ),
        response=dict(
            type='mono_distill.GaussianResponseLoss',
            teacher_temperature=2.0,
            weight=10.0,
            inputs=dict(student='s_heads', teacher='t_heads', mask='mask'),
        ),
    ),
)

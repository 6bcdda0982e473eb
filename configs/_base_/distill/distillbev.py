# DistillBEV (ICCV 2023) at the level of the neck, with the weights of its released run: squared distance by region
# (objects, background, false positives of the teacher) with spatial attention, and the maps' channel means. The released
# run teaches two levels of the backbone beside it. For maps of 256 (student) and 384 channels.
distill_hooks = [dict(type='mono_distill.TeacherCheckHook', metric='NuScenes/mAP')]
teacher_forward = 'tensor'
bev = dict(x_range=(-51.2, 51.2), y_range=(-51.2, 51.2))
distill = dict(
    taps=dict(s_bev='student:bev', t_bev='lidar:bev', t_heads='lidar:heads'),
    adapters=dict(
        s_maps=dict(type='mono_distill.ConvAdapter', channels=[256], out_channels=[384], inputs='s_bev'),
        s_mean=dict(type='mono_distill.ChannelMeanConv', inputs='s_maps'),
    ),
    targets=dict(
        objects=dict(type='mono_distill.GTBoxCodes', inputs='data_samples'),
        regions=dict(
            type='mono_distill.BEVRegions',
            size=(128, 128),
            inputs=dict(boxes='objects[boxes]', valid='objects[mask]', teacher_heatmap='t_heads'),
            **bev,
        ),
    ),
    losses=dict(
        by_region=dict(
            type='mono_distill.RegionDecomposedLoss',
            inputs=dict(student='s_maps', teacher='t_bev', regions='regions'),
        ),
        means=dict(
            type='mono_distill.ChannelMeanL1Loss', weight=2.5e-3, inputs=dict(student='s_mean', teacher='t_bev')
        ),
    ),
)

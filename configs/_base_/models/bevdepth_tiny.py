# BEVDepth in small: 28 depth bins of two metres, placed at their centres, 32 channels on the map.
_base_ = ['./bev_student_tiny.py']
model = dict(
    type='mono_distill.BEVDepth',
    view_transformer=dict(
        type='mono_distill.BEVDepthViewTransformer',
        in_channels=128,
        out_channels=32,
        downsample=16,
        x_bound=[-51.2, 51.2, 1.6],
        y_bound=[-51.2, 51.2, 1.6],
        z_bound=[-5.0, 3.0, 8.0],
        d_bound=[2.0, 58.0, 2.0],
        bin_position='center',
        # Batches of a sample or two: no statistics over cameras.
        depth_net=dict(mid_channels=64, num_blocks=1, aspp=False, dcn=False, camera_norm='LN'),
        loss_depth_weight=3.0,
    ),
)

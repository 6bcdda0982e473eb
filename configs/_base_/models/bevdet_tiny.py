# BEVDet in small: 28 depth bins of two metres, placed at their centres, 32 channels on the map.
_base_ = ['./bev_student_tiny.py']
model = dict(
    type='mono_distill.BEVDet',
    view_transformer=dict(
        type='mono_distill.LSSViewTransformer',
        in_channels=128,
        out_channels=32,
        downsample=16,
        x_bound=[-51.2, 51.2, 1.6],
        y_bound=[-51.2, 51.2, 1.6],
        z_bound=[-5.0, 3.0, 8.0],
        d_bound=[2.0, 58.0, 2.0],
        bin_position='center',
    ),
)

# BEVDet (arXiv 2112.11790) on ResNet-50: 59 depth bins of a metre, 64 channels on the map.
_base_ = ['./bev_student_r50.py']
model = dict(
    type='mono_distill.BEVDet',
    img_backbone=dict(out_indices=(2, 3), frozen_stages=-1),
    img_neck=dict(
        type='mono_distill.LSSFPN', in_channels=[1024, 2048], out_channels=512, levels=(0, 1), extra_upsample=None
    ),
    view_transformer=dict(
        type='mono_distill.LSSViewTransformer',
        in_channels=512,
        out_channels=64,
        downsample=16,
        x_bound=[-51.2, 51.2, 0.8],
        y_bound=[-51.2, 51.2, 0.8],
        z_bound=[-10.0, 10.0, 20.0],
        d_bound=[1.0, 60.0, 1.0],
    ),
    bev_backbone=dict(
        type='mono_distill.BEVResNet',
        in_channels=64,
        base_channels=128,
        num_blocks=(2, 2, 2),
        strides=(2, 2, 2),
        stem_stride=None,
        keep_input=False,
    ),
    bev_neck=dict(type='mono_distill.LSSFPN', in_channels=[128, 512], out_channels=256, levels=(0, 2)),
)

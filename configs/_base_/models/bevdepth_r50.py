# BEVDepth (AAAI 2023) on ResNet-50: 112 depth bins of half a metre, 80 channels on the map. The official model works in
# the ego frame; this one in the LiDAR frame, where a LiDAR teacher's map fits cell by cell.
_base_ = ['./bev_student_r50.py']
model = dict(
    type='mono_distill.BEVDepth',
    img_neck=dict(
        type='SECONDFPN',
        in_channels=[256, 512, 1024, 2048],
        upsample_strides=[0.25, 0.5, 1, 2],
        out_channels=[128, 128, 128, 128],
    ),
    view_transformer=dict(
        type='mono_distill.BEVDepthViewTransformer',
        in_channels=512,
        out_channels=80,
        downsample=16,
        x_bound=[-51.2, 51.2, 0.8],
        y_bound=[-51.2, 51.2, 0.8],
        z_bound=[-5.0, 3.0, 8.0],
        d_bound=[2.0, 58.0, 0.5],
        depth_net=dict(mid_channels=512, num_blocks=3, aspp=True, dcn=True, camera_norm='BN'),
        loss_depth_weight=3.0,
    ),
    bev_backbone=dict(
        type='mono_distill.BEVResNet', in_channels=80, base_channels=160, num_blocks=(2, 2, 2), strides=(1, 2, 2)
    ),
    bev_neck=dict(
        type='SECONDFPN',
        in_channels=[80, 160, 320, 640],
        upsample_strides=[1, 2, 4, 8],
        out_channels=[64, 64, 64, 64],
    ),
)

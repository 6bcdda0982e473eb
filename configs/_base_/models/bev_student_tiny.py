# What the small BEVDet and BEVDepth have in common, for 128x352 images on a CPU: a thin ResNet-18, the head and the map
# of centerpoint_tiny.py, 64x64 cells of 1.6 m.
_base_ = ['./bev_student_r50.py']
student_voxel = [0.8, 0.8, 8]
short_norm = dict(type='BN', eps=1e-3, momentum=0.1)
model = dict(
    img_backbone=dict(
        _delete_=True,
        type='mmdet.ResNet',
        depth=18,
        base_channels=32,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN'),
        norm_eval=False,
    ),
    img_neck=dict(
        type='SECONDFPN',
        in_channels=[32, 64, 128, 256],
        upsample_strides=[0.25, 0.5, 1, 2],
        out_channels=[32, 32, 32, 32],
        norm_cfg=short_norm,
    ),
    bev_backbone=dict(
        type='mono_distill.BEVResNet',
        in_channels=32,
        base_channels=48,
        num_blocks=(1, 1, 1),
        strides=(1, 2, 2),
        stem_stride=None,
        keep_input=False,
    ),
    bev_neck=dict(
        type='SECONDFPN',
        in_channels=[48, 96, 192],
        upsample_strides=[1, 2, 4],
        out_channels=[48, 48, 48],
        norm_cfg=short_norm,
    ),
    pts_bbox_head=dict(
        in_channels=144,
        share_conv_channel=32,
        bbox_coder=dict(max_num=100, out_size_factor=2, voxel_size=student_voxel[:2]),
        separate_head=dict(head_conv=32),
    ),
    train_cfg=dict(
        pts=dict(grid_size=[128, 128, 1], voxel_size=student_voxel, out_size_factor=2, max_objs=100, min_radius=1)
    ),
)

# CenterPoint in small, for a CPU: pillars of 0.8 m, a map of 64x64 cells of 1.6 m, 144 channels.
_base_ = ['./centerpoint_pillar02.py']
centerpoint_voxel = [0.8, 0.8, 8]
model = dict(
    data_preprocessor=dict(voxel_layer=dict(max_num_points=20, voxel_size=centerpoint_voxel, max_voxels=(6000, 6000))),
    pts_voxel_encoder=dict(
        feat_channels=[32], voxel_size=centerpoint_voxel, norm_cfg=dict(type='BN1d', eps=1e-3, momentum=0.1)
    ),
    pts_middle_encoder=dict(in_channels=32, output_shape=(128, 128)),
    pts_backbone=dict(
        in_channels=32,
        out_channels=[32, 64, 128],
        layer_nums=[1, 2, 2],
        # Short trainings: the running statistics must follow.
        norm_cfg=dict(type='BN', eps=1e-3, momentum=0.1),
    ),
    pts_neck=dict(
        in_channels=[32, 64, 128],
        out_channels=[48, 48, 48],
        upsample_strides=[1, 2, 4],
        norm_cfg=dict(type='BN', eps=1e-3, momentum=0.1),
    ),
    pts_bbox_head=dict(
        in_channels=144,
        share_conv_channel=32,
        bbox_coder=dict(max_num=100, out_size_factor=2, voxel_size=centerpoint_voxel[:2]),
        separate_head=dict(head_conv=32),
    ),
    train_cfg=dict(
        pts=dict(grid_size=[128, 128, 1], voxel_size=centerpoint_voxel, out_size_factor=2, max_objs=100, min_radius=1)
    ),
)

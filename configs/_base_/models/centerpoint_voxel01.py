# CenterPoint on voxels of 0.1 m, as published by mmdet3d (whose checkpoints load): a map of 128x128 cells of 0.8 m, 512
# channels. Needs CUDA and mmcv with compiled ops.
_base_ = ['./centerpoint_pillar02.py']
centerpoint_voxel = [0.1, 0.1, 0.2]
model = dict(
    data_preprocessor=dict(
        voxel_layer=dict(max_num_points=10, voxel_size=centerpoint_voxel, max_voxels=(90000, 120000))
    ),
    pts_voxel_encoder=dict(_delete_=True, type='HardSimpleVFE', num_features=5),
    pts_middle_encoder=dict(
        _delete_=True,
        type='SparseEncoder',
        in_channels=5,
        sparse_shape=[41, 1024, 1024],
        output_channels=128,
        order=('conv', 'norm', 'act'),
        encoder_channels=((16, 16, 32), (32, 32, 64), (64, 64, 128), (128, 128)),
        encoder_paddings=((0, 0, 1), (0, 0, 1), (0, 0, [0, 1, 1]), (0, 0)),
        block_type='basicblock',
    ),
    pts_backbone=dict(in_channels=256, out_channels=[128, 256], layer_nums=[5, 5], layer_strides=[1, 2]),
    pts_neck=dict(in_channels=[128, 256], out_channels=[256, 256], upsample_strides=[1, 2]),
    pts_bbox_head=dict(in_channels=512, bbox_coder=dict(out_size_factor=8, voxel_size=centerpoint_voxel[:2])),
    train_cfg=dict(pts=dict(grid_size=[1024, 1024, 40], voxel_size=centerpoint_voxel, out_size_factor=8)),
)

# SECOND as CMKD and MonoTAKD teach with it: residual sparse encoder, 64 channels at two heights, so that the map before
# the BEV backbone has 128. Needs mmcv with compiled ops (or spconv). mmdet3d's residual blocks have no bias in their
# convolutions, OpenPCDet's have: their weights do not carry over.
_base_ = './bev_head_kitti.py'
model = dict(
    type='mono_distill.PointsBEVDetector',
    data_preprocessor=dict(
        type='mono_distill.KittiBEVDataPreprocessor',
        modality='points',
        voxel_layer=dict(
            max_num_points=5,
            point_cloud_range=_base_.point_cloud_range,
            voxel_size=[0.04, 0.04, 0.1],
            max_voxels=(20000, 40000),
        ),
    ),
    point_cloud_range=_base_.point_cloud_range,
    bev_size=(188, 140),
    voxel_encoder=dict(type='HardSimpleVFE', num_features=4),
    middle_encoder=dict(
        type='SparseEncoder',
        in_channels=4,
        sparse_shape=[41, 1504, 1120],
        order=('conv', 'norm', 'act'),
        block_type='basicblock',
        output_channels=64,
        encoder_channels=((16, 16, 32), (32, 32, 64), (64, 64, 64), (64, 64)),
        encoder_paddings=((0, 0, 1), (0, 0, 1), (0, 0, [0, 1, 1]), (0, 0)),
    ),
    backbone=_base_.bev_backbone,
    neck=_base_.bev_neck,
    bbox_head=_base_.bev_head,
)

# PointPillars on the grid of caddn_tiny.py.
_base_ = './bev_head_tiny.py'
voxel_size = [0.32, 0.32, 4]
# mmdet3d's momentum of 0.01 takes thousands of steps to forget where the running statistics began.
bn = dict(type='BN', eps=1e-3, momentum=0.1)
model = dict(
    type='mono_distill.PointsBEVDetector',
    data_preprocessor=dict(
        type='mono_distill.KittiBEVDataPreprocessor',
        modality='points',
        voxel_layer=dict(
            max_num_points=20, point_cloud_range=_base_.point_cloud_range, voxel_size=voxel_size, max_voxels=12000
        ),
    ),
    point_cloud_range=_base_.point_cloud_range,
    bev_size=(94, 70),
    voxel_encoder=dict(
        type='PillarFeatureNet',
        in_channels=4,
        feat_channels=[32],
        voxel_size=voxel_size,
        point_cloud_range=_base_.point_cloud_range,
        norm_cfg=dict(type='BN1d', eps=1e-3, momentum=0.1),
    ),
    middle_encoder=dict(type='PointPillarsScatter', in_channels=32, output_shape=[188, 140]),
    stem=dict(type='SECOND', in_channels=32, layer_nums=[1], layer_strides=[2], out_channels=[32], norm_cfg=bn),
    backbone=dict(_base_.bev_backbone, norm_cfg=bn),
    neck=dict(_base_.bev_neck, norm_cfg=bn),
    bbox_head=_base_.bev_head,
)

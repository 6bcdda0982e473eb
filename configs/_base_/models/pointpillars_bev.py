# PointPillars on the grid of MonoTAKD's student: pillars of 0.16 m, brought to cells of 0.32 m and 128 channels by three
# convolutions, whose last map is the one a student learns from. Runs everywhere.
_base_ = './bev_head_kitti.py'
voxel_size = [0.16, 0.16, 4]
model = dict(
    type='mono_distill.PointsBEVDetector',
    data_preprocessor=dict(
        type='mono_distill.KittiBEVDataPreprocessor',
        modality='points',
        voxel_layer=dict(
            max_num_points=32,
            point_cloud_range=_base_.point_cloud_range,
            voxel_size=voxel_size,
            max_voxels=(16000, 40000),
        ),
    ),
    point_cloud_range=_base_.point_cloud_range,
    bev_size=(188, 140),
    voxel_encoder=dict(
        type='PillarFeatureNet',
        in_channels=4,
        feat_channels=[64],
        voxel_size=voxel_size,
        point_cloud_range=_base_.point_cloud_range,
    ),
    middle_encoder=dict(type='PointPillarsScatter', in_channels=64, output_shape=[376, 280]),
    stem=dict(type='SECOND', in_channels=64, layer_nums=[2], layer_strides=[2], out_channels=[128]),
    backbone=_base_.bev_backbone,
    neck=_base_.bev_neck,
    bbox_head=_base_.bev_head,
)

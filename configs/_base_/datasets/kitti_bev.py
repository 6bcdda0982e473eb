# KITTI for detectors of the LiDAR frame, pictures as they are. `mono-distill prepare kitti --root data/kitti` makes the
# info files and depth maps; the environment variable KITTI_ROOT names another folder.
data_root = '{{$KITTI_ROOT:data/kitti}}'
classes = ('Car', 'Pedestrian', 'Cyclist')
bev_range = [2.0, -30.08, -3.0, 46.8, 30.08, 1.0]

# Everything that student, assistant and teacher need; each takes its part. The completed depth map and the mean of its
# cells are the official assistant's.
depth = dict(type='mono_distill.KittiBEVDepth', downsample=8, source='depth_map', reduce='mean')
train_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadDepthMap'),
    dict(type='mono_distill.LoadKittiBEVPoints'),
    dict(type='mono_distill.LoadKittiBEVAnnotations'),
    dict(type='mono_distill.KittiBEVRandomFlip', prob=0.5),
    depth,
    dict(type='PointsRangeFilter', point_cloud_range=bev_range),
    dict(type='ObjectRangeFilter', point_cloud_range=bev_range),
    dict(type='mono_distill.PackKittiBEVInputs'),
]
# The student alone needs the picture only.
test_pipeline = [dict(type='mono_distill.LoadMonoImage'), dict(type='mono_distill.PackKittiBEVInputs')]
# What teacher and assistant need, and a check of them.
lidar_test_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadDepthMap'),
    dict(type='mono_distill.LoadKittiBEVPoints'),
    depth,
    dict(type='PointsRangeFilter', point_cloud_range=bev_range),
    dict(type='mono_distill.PackKittiBEVInputs'),
]
# A teacher on its own: points, turned and scaled.
points_train_pipeline = [
    dict(type='mono_distill.LoadKittiBEVPoints'),
    dict(type='mono_distill.LoadKittiBEVAnnotations'),
    dict(type='mono_distill.KittiBEVRandomFlip', prob=0.5),
    dict(type='GlobalRotScaleTrans', rot_range=[-0.78539816, 0.78539816], scale_ratio_range=[0.95, 1.05]),
    dict(type='PointsRangeFilter', point_cloud_range=bev_range),
    dict(type='ObjectRangeFilter', point_cloud_range=bev_range),
    dict(type='PointShuffle'),
    dict(type='mono_distill.PackKittiBEVInputs'),
]
points_test_pipeline = [
    dict(type='mono_distill.LoadKittiBEVPoints'),
    dict(type='PointsRangeFilter', point_cloud_range=bev_range),
    dict(type='mono_distill.PackKittiBEVInputs'),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mono_distill.KittiBEVDataset',
        data_root=data_root,
        ann_file='kitti_infos_train.pkl',
        pipeline=train_pipeline,
        metainfo=dict(classes=classes),
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mono_distill.KittiBEVDataset',
        data_root=data_root,
        ann_file='kitti_infos_val.pkl',
        pipeline=test_pipeline,
        metainfo=dict(classes=classes),
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mono_distill.KittiMonoMetric', ann_file=data_root + '/kitti_infos_val.pkl', classes=list(classes)
)
test_evaluator = val_evaluator

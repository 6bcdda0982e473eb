# As kitti_bev.py with pictures 320 pixels wide, for small models on a CPU; depth comes from the points. Trains and
# evaluates on kitti_infos_trainval.pkl by default, so that it runs on any handful of frames: its scores then show that
# the pipeline learns. KITTI_TRAIN=train KITTI_VAL=val take the usual split.
data_root = '{{$KITTI_ROOT:data/kitti}}'
train_infos = 'kitti_infos_{{$KITTI_TRAIN:trainval}}.pkl'
val_infos = 'kitti_infos_{{$KITTI_VAL:trainval}}.pkl'
classes = ('Car', 'Pedestrian', 'Cyclist')
bev_range = [2.0, -30.08, -3.0, 46.8, 30.08, 1.0]

image = [dict(type='mono_distill.LoadMonoImage'), dict(type='mono_distill.KittiBEVResize', width=320)]
depth = dict(type='mono_distill.KittiBEVDepth', downsample=8)
# Points are cropped to the view of the picture as it is, before it is resized.
train_pipeline = [
    dict(type='mono_distill.LoadKittiBEVPoints'),
    *image,
    dict(type='mono_distill.LoadKittiBEVAnnotations', allow_unlabelled=True),
    dict(type='mono_distill.KittiBEVRandomFlip', prob=0.5),
    depth,
    dict(type='PointsRangeFilter', point_cloud_range=bev_range),
    dict(type='ObjectRangeFilter', point_cloud_range=bev_range),
    dict(type='mono_distill.PackKittiBEVInputs'),
]
test_pipeline = [*image, dict(type='mono_distill.PackKittiBEVInputs')]
lidar_test_pipeline = [
    dict(type='mono_distill.LoadKittiBEVPoints'),
    *image,
    depth,
    dict(type='PointsRangeFilter', point_cloud_range=bev_range),
    dict(type='mono_distill.PackKittiBEVInputs'),
]
points_train_pipeline = [
    dict(type='mono_distill.LoadKittiBEVPoints'),
    dict(type='mono_distill.LoadKittiBEVAnnotations'),
    dict(type='mono_distill.KittiBEVRandomFlip', prob=0.5),
    dict(type='GlobalRotScaleTrans', rot_range=[-0.4, 0.4], scale_ratio_range=[0.95, 1.05]),
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
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        # A handful of frames makes an epoch of two steps; repeating them keeps the pauses between epochs rare.
        type='mono_distill.RepeatDataset',
        times=20,
        dataset=dict(
            type='mono_distill.KittiBEVDataset',
            data_root=data_root,
            ann_file=train_infos,
            pipeline=train_pipeline,
            metainfo=dict(classes=classes),
        ),
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mono_distill.KittiBEVDataset',
        data_root=data_root,
        ann_file=val_infos,
        pipeline=test_pipeline,
        metainfo=dict(classes=classes),
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
# KITTI's code cannot score a handful of frames above 100 (objects - 1) / 40; counting each 41 times lifts that ceiling.
val_evaluator = dict(
    type='mono_distill.KittiMonoMetric', ann_file=data_root + '/' + val_infos, classes=['Car'], repeat=41
)
test_evaluator = val_evaluator

# KITTI at a quarter of the resolution, for small models on a CPU. Trains and evaluates on kitti_infos_trainval.pkl by
# default, so that it runs on any handful of frames: its scores then show that the pipeline learns, not how well a
# detector generalises. KITTI_TRAIN=train KITTI_VAL=val take the usual split.
data_root = '{{$KITTI_ROOT:data/kitti}}'
train_infos = 'kitti_infos_{{$KITTI_TRAIN:trainval}}.pkl'
val_infos = 'kitti_infos_{{$KITTI_VAL:trainval}}.pkl'
classes = ('Pedestrian', 'Car', 'Cyclist')

train_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadDepthMap'),
    dict(type='mono_distill.LoadMonoKittiAnnotations'),
    dict(type='mono_distill.MonoRandomFlip', prob=0.5),
    dict(type='mono_distill.MonoRandomCropAffine', size=(320, 96)),
    dict(type='mono_distill.FilterMonoObjects', train_classes=['Car'], min_depth=2.0, max_depth=65.0),
    dict(type='mono_distill.PackMono3DInputs'),
]
test_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.MonoRandomCropAffine', size=(320, 96)),
    dict(type='mono_distill.PackMono3DInputs'),
]
depth_test_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadDepthMap'),
    dict(type='mono_distill.MonoRandomCropAffine', size=(320, 96)),
    dict(type='mono_distill.PackMono3DInputs'),
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
            type='mono_distill.KittiMonoDataset',
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
        type='mono_distill.KittiMonoDataset',
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

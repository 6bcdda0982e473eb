# The embedded driving world in KITTI's format at a quarter of its size (mono-distill synth kitti --image-scale 0.25):
# $SYNTH_ROOT/train holds the training and validation sequences, $SYNTH_ROOT/test those of another seed for the test.
# Everything that is read is kept in memory.
data_root = '{{$SYNTH_ROOT:data/synth}}/train'
test_root = '{{$SYNTH_ROOT:data/synth}}/test'
classes = ('Pedestrian', 'Car', 'Cyclist')
image_scale = 0.25

train_pipeline = [
    dict(
        type='mono_distill.CacheTransforms',
        transforms=[
            dict(type='mono_distill.LoadMonoImage'),
            dict(type='mono_distill.LoadDepthMap'),
            dict(type='mono_distill.LoadMonoKittiAnnotations', allow_unlabelled=True),
        ],
    ),
    dict(type='mono_distill.MonoRandomFlip', prob=0.5),
    dict(type='mono_distill.MonoRandomCropAffine', size=(320, 96)),
    dict(type='mono_distill.FilterMonoObjects', train_classes=list(classes), min_depth=2.0, max_depth=65.0),
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
    num_workers=0,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mono_distill.KittiMonoDataset',
        data_root=data_root,
        ann_file='kitti_infos_train.pkl',
        pipeline=train_pipeline,
        metainfo=dict(classes=classes),
        image_scale=image_scale,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mono_distill.KittiMonoDataset',
        data_root=data_root,
        ann_file='kitti_infos_val.pkl',
        pipeline=test_pipeline,
        metainfo=dict(classes=classes),
        test_mode=True,
        image_scale=image_scale,
    ),
)
val_evaluator = dict(
    type='mono_distill.KittiMonoMetric',
    ann_file=data_root + '/kitti_infos_val.pkl',
    classes=['Car'],
    image_scale=image_scale,
)
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], data_root=test_root, ann_file='kitti_infos_trainval.pkl')
)
test_evaluator = dict(val_evaluator, ann_file=test_root + '/kitti_infos_trainval.pkl', classes=list(classes))

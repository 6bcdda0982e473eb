# KITTI at the published resolution. `mono-distill prepare kitti --root data/kitti` makes the info files and depth maps;
# the environment variable KITTI_ROOT names another folder.
data_root = '{{$KITTI_ROOT:data/kitti}}'
classes = ('Pedestrian', 'Car', 'Cyclist')

train_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadDepthMap'),
    dict(type='mono_distill.LoadMonoKittiAnnotations'),
    dict(type='mono_distill.MonoRandomFlip', prob=0.5),
    dict(type='mono_distill.MonoRandomCropAffine', size=(1280, 384), prob=0.5, scale=0.4, shift=0.1),
    dict(type='mono_distill.CenterNetColorAug'),
    dict(type='mono_distill.FilterMonoObjects', train_classes=['Car'], min_depth=2.0, max_depth=65.0),
    dict(type='mono_distill.PackMono3DInputs'),
]
test_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.MonoRandomCropAffine', size=(1280, 384)),
    dict(type='mono_distill.PackMono3DInputs'),
]
# What a depth-input detector, or a check of the teacher, needs in evaluation.
depth_test_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadDepthMap'),
    dict(type='mono_distill.MonoRandomCropAffine', size=(1280, 384)),
    dict(type='mono_distill.PackMono3DInputs'),
]

# 16 is the published total batch: on N GPUs give each 16/N (--cfg-options train_dataloader.batch_size=4 on four).
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mono_distill.KittiMonoDataset',
        data_root=data_root,
        ann_file='kitti_infos_train.pkl',
        pipeline=train_pipeline,
        metainfo=dict(classes=classes),
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mono_distill.KittiMonoDataset',
        data_root=data_root,
        ann_file='kitti_infos_val.pkl',
        pipeline=test_pipeline,
        metainfo=dict(classes=classes),
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mono_distill.KittiMonoMetric', ann_file=data_root + '/kitti_infos_val.pkl', classes=['Car'], round_decimals=2
)
test_evaluator = val_evaluator

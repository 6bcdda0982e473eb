# MonoDETR on KITTI in the published setting: photometric distortion, flip, and small random crops.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/kitti_mono_384x1280.py',
    '../_base_/models/monodetr_r50.py',
    '../_base_/schedules/adamw_195e.py',
]
train_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadDepthMap'),
    dict(type='mono_distill.LoadMonoKittiAnnotations'),
    # The official code makes bytes of the result without clipping, so that too bright pixels turn black; here they stay
    # what they are.
    dict(type='mmdet.PhotoMetricDistortion'),
    dict(type='mono_distill.MonoRandomFlip', prob=0.5),
    dict(type='mono_distill.MonoRandomCropAffine', size=(1280, 384), prob=0.5, scale=0.05, shift=0.05),
    dict(type='mono_distill.FilterMonoObjects', train_classes=['Car'], min_depth=2.0, max_depth=65.0),
    dict(type='mono_distill.PackMono3DInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# The teacher with ground-truth depth in small.
_base_ = ['../students/monodetr_tiny_kitti.py']
model = dict(depth_source='objects')
annotated_test_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadMonoKittiAnnotations'),
    dict(type='mono_distill.MonoRandomCropAffine', size=(320, 96)),
    dict(type='mono_distill.FilterMonoObjects', train_classes=['Car'], min_depth=2.0, max_depth=65.0),
    dict(type='mono_distill.PackMono3DInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=annotated_test_pipeline))
test_dataloader = val_dataloader

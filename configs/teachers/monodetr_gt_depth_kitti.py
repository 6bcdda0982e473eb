# A teacher that sees the image and is told the depth of the annotated objects (depth_source). It needs annotations in
# evaluation, too, and so says nothing about what it would find without them.
_base_ = ['../students/monodetr_kitti.py']
model = dict(depth_source='objects')
annotated_test_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadMonoKittiAnnotations'),
    dict(type='mono_distill.MonoRandomCropAffine', size=(1280, 384)),
    dict(type='mono_distill.FilterMonoObjects', train_classes=['Car'], min_depth=2.0, max_depth=65.0),
    dict(type='mono_distill.PackMono3DInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=annotated_test_pipeline))
test_dataloader = val_dataloader

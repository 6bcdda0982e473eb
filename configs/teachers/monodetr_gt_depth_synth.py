# The teacher with ground-truth depth on the embedded world.
_base_ = ['../students/monodetr_synth.py']
model = dict(depth_source='objects')
annotated_test_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadMonoKittiAnnotations', allow_unlabelled=True),
    dict(type='mono_distill.MonoRandomCropAffine', size=(320, 96)),
    dict(type='mono_distill.FilterMonoObjects', train_classes=list(_base_.classes), min_depth=2.0, max_depth=65.0),
    dict(type='mono_distill.PackMono3DInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=annotated_test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=annotated_test_pipeline))

# DID-M3D in small: 96x320 images, two CPU cores, a few minutes.
_base_ = [
    '../_base_/tiny_runtime.py',
    '../_base_/datasets/kitti_mono_96x320.py',
    '../_base_/models/didm3d_tiny.py',
    '../_base_/schedules/adam_tiny.py',
]
*before, objects, pack = _base_.train_pipeline
did_pipeline = [*before, dict(type='mono_distill.ObjectVisualDepth'), dict(objects, max_depth=None), pack]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=did_pipeline)))
custom_hooks = [*_base_.custom_hooks, dict(type='mono_distill.HTLHook', max_epoch=20)]
# Without a teacher nobody reads these maps as a whole.
model = dict(bbox_head=dict(sparse_2d=True))

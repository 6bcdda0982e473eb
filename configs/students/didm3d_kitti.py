# DID-M3D on KITTI: the camera-only student, and the control without a teacher. Depths are not bounded, and every box
# knows the depth that the LiDAR depth map shows in it. Colours and schedule are those with which MonoSKD trained it; DID-M3D
# itself changed no colours and began with a pass without learning (HTLHook(initial_pass=True)).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/kitti_mono_384x1280.py',
    '../_base_/models/didm3d_dla34.py',
    '../_base_/schedules/adam_150e.py',
]
*loading, crop, color, objects, pack = _base_.train_pipeline
did_pipeline = [
    *loading,
    crop,
    color,
    dict(type='mono_distill.ObjectVisualDepth'),
    dict(objects, max_depth=None),
    pack,
]
train_dataloader = dict(dataset=dict(pipeline=did_pipeline))
custom_hooks = [*_base_.custom_hooks, dict(type='mono_distill.HTLHook', max_epoch=140)]
# Without a teacher nobody reads these maps as a whole.
model = dict(bbox_head=dict(sparse_2d=True))

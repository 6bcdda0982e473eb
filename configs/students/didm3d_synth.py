# DID-M3D in small on the embedded world. Without HTL: its window alone takes six of the few epochs.
_base_ = [
    '../_base_/synth_runtime.py',
    '../_base_/datasets/synth_kitti_96x320.py',
    '../_base_/models/didm3d_tiny.py',
    '../_base_/schedules/adam_synth.py',
]
*before, objects, pack = _base_.train_pipeline
did_pipeline = [*before, dict(type='mono_distill.ObjectVisualDepth'), dict(objects, max_depth=None), pack]
train_dataloader = dict(dataset=dict(pipeline=did_pipeline))
# Without a teacher nobody reads these maps as a whole.
model = dict(bbox_head=dict(sparse_2d=True))

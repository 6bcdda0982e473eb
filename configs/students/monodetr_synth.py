# MonoDETR in small on the embedded world.
_base_ = [
    '../_base_/synth_runtime.py',
    '../_base_/datasets/synth_kitti_96x320.py',
    '../_base_/models/monodetr_tiny.py',
    '../_base_/schedules/adamw_synth.py',
]

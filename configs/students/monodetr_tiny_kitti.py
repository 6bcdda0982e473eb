# MonoDETR in small: 96x320 images, two CPU cores, a few minutes.
_base_ = [
    '../_base_/tiny_runtime.py',
    '../_base_/datasets/kitti_mono_96x320.py',
    '../_base_/models/monodetr_tiny.py',
    '../_base_/schedules/adamw_tiny.py',
]

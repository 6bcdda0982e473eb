# MonoDLE on KITTI: the camera-only student, and the control without a teacher.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/kitti_mono_384x1280.py',
    '../_base_/models/monodle_dla34.py',
    '../_base_/schedules/adam_140e.py',
]

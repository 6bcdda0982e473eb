# MonoDLE in small on the embedded world: the student of `mono-distill bench synth`, and its control without a teacher.
_base_ = [
    '../_base_/synth_runtime.py',
    '../_base_/datasets/synth_kitti_96x320.py',
    '../_base_/models/monodle_tiny.py',
    '../_base_/schedules/adam_synth.py',
]

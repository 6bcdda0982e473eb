# MonoSTL on MonoDLE in small. Train these two first:
#   mim train mono_distill configs/teachers/monodle_depth_tiny_kitti.py
#   mim train mono_distill configs/students/monodle_tiny_kitti.py
_base_ = ['./students/monodle_tiny_kitti.py', './_base_/distill/monostl.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=_base_.model,
    teachers=dict(
        depth=dict(
            config='mono_distill::teachers/monodle_depth_tiny_kitti.py',
            checkpoint='work_dirs/monodle_depth_tiny_kitti',
        )
    ),
    **_base_.distill,
)
model['adapters'] = dict(
    s_fused=dict(_base_.distill.adapters.s_fused, channels=(32, 64, 128), mid_channels=64),
    s_adapted=dict(_base_.distill.adapters.s_adapted, channels=(32, 64, 128)),
)
# On a handful of frames that both were trained on, a student can score as high as its teacher: only warn.
schedule_hook, check_hook = _base_.distill_hooks
custom_hooks = [*_base_.custom_hooks, schedule_hook, dict(check_hook, on_failure='warn')]
# The check of the teacher before training evaluates it on the validation frames, with their depth maps.
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
load_from = 'work_dirs/monodle_tiny_kitti'

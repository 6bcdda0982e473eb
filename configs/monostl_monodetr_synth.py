# MonoSTL on MonoDETR on the embedded world. Train these two first:
#   mim train mono_distill configs/teachers/monodetr_depth_synth.py
#   mim train mono_distill configs/students/monodetr_synth.py
_base_ = ['./students/monodetr_synth.py', './_base_/distill/monostl_detr.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=_base_.model,
    teachers=dict(
        depth=dict(
            config='mono_distill::teachers/monodetr_depth_synth.py',
            checkpoint='work_dirs/monodetr_depth_synth',
            forward=_base_.teacher_forward,
        )
    ),
    **_base_.distill,
)
model['adapters'] = dict(
    s_fused=dict(_base_.distill.adapters.s_fused, channels=(64, 64, 64), mid_channels=64),
    s_adapted=dict(_base_.distill.adapters.s_adapted, channels=(64, 64, 64)),
)
custom_hooks = [*_base_.custom_hooks, *_base_.distill_hooks]
# The check of the teacher before training evaluates it on the validation frames, with their depth maps.
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
load_from = 'work_dirs/monodetr_synth'

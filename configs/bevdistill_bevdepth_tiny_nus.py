# BEVDistill (ICLR 2023), its dense term and its response, on BEVDepth in small. Train these two first:
#   mim train mono_distill configs/teachers/centerpoint_tiny_nus.py
#   mim train mono_distill configs/students/bevdepth_tiny_nus.py
_base_ = ['./students/bevdepth_tiny_nus.py', './_base_/distill/bevdistill.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=_base_.model,
    teachers=dict(
        lidar=dict(
            config='mono_distill::teachers/centerpoint_tiny_nus.py',
            checkpoint='work_dirs/centerpoint_tiny_nus',
            forward=_base_.teacher_forward,
        )
    ),
    **_base_.distill,
)
model['adapters']['s_maps'].update(channels=[144], out_channels=[144])
model['targets']['mask']['size'] = (64, 64)
train_dataloader = dict(dataset=dict(pipeline=_base_.distill_pipeline))
# On a handful of frames that both were trained on, a student can score as high as its teacher: only warn.
custom_hooks = [*_base_.custom_hooks, dict(_base_.distill_hooks[0], on_failure='warn')]
# The check of the teacher before training evaluates it on the validation frames.
val_dataloader = dict(
    dataset=dict(pipeline=[_base_.pictures, _base_.sweeps, *_base_.image_test[:1], _base_.filters[0], _base_.pack])
)
load_from = 'work_dirs/bevdepth_tiny_nus'

# MonoSKD on DID-M3D on the embedded world. Train these two first:
#   mim train mono_distill configs/teachers/didm3d_depth_synth.py
#   mim train mono_distill configs/students/didm3d_synth.py
_base_ = ['./students/didm3d_synth.py', './_base_/distill/monoskd_did.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=dict(_base_.model, bbox_head=dict(_base_.model.bbox_head, sparse_2d=False)),
    teachers=dict(
        depth=dict(
            config='mono_distill::teachers/didm3d_depth_synth.py',
            checkpoint='work_dirs/didm3d_depth_synth',
            forward=_base_.teacher_forward,
        )
    ),
    **_base_.distill,
)
model['adapters'] = dict(s_adapted=dict(_base_.distill.adapters.s_adapted, channels=(16, 32, 64, 128)))
custom_hooks = [*_base_.custom_hooks, *_base_.distill_hooks]
# The check of the teacher before training evaluates it on the validation frames, with their depth maps.
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
load_from = 'work_dirs/didm3d_synth'

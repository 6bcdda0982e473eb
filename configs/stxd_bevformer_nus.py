# STXD on BEVFormer with ResNet-50, from CenterPoint with pillars of 0.2 m. Train the student first, and the teacher, or
# download mmdet3d's (the checkpoint is named on the command line then):
#   mim train mono_distill configs/teachers/centerpoint_pillar02_nus.py
#   mim train mono_distill configs/students/bevformer_r50_nus.py
_base_ = ['./students/bevformer_r50_nus.py', './_base_/distill/stxd_query.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=_base_.model,
    teachers=dict(
        lidar=dict(
            config='mono_distill::teachers/centerpoint_pillar02_past_nus.py',
            checkpoint='work_dirs/centerpoint_pillar02_nus',
            forward=_base_.teacher_forward,
        )
    ),
    **_base_.distill,
)
train_dataloader = dict(dataset=dict(pipeline=_base_.camera_stxd_4d_pipeline))
custom_hooks = [*_base_.custom_hooks, *_base_.distill_hooks]
# The check of the teacher before training evaluates it on the validation frames.
val_dataloader = dict(
    dataset=dict(
        pipeline=[_base_.pictures_4d, _base_.past_sweeps, *_base_.image_test[:1], _base_.filters[0], _base_.pack]
    )
)
load_from = 'work_dirs/bevformer_r50_nus'

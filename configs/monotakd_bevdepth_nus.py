# MonoTAKD (CVPR 2025) on BEVDepth with ResNet-50, from CenterPoint with pillars of 0.2 m.
# Train these three first, or all in one: mono-distill stages configs/monotakd_bevdepth_nus.py
#   mim train mono_distill configs/teachers/centerpoint_pillar02_nus.py
#   mim train mono_distill configs/students/bevdepth_r50_nus.py
#   mim train mono_distill configs/assistants/bevdepth_r50_lidar_nus.py
_base_ = ['./students/bevdepth_r50_nus.py', './_base_/distill/monotakd_nus.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=_base_.model,
    teachers=dict(
        lidar=dict(
            config='mono_distill::teachers/centerpoint_pillar02_nus.py',
            checkpoint='work_dirs/centerpoint_pillar02_nus',
            forward=_base_.teacher_forward,
        ),
        assistant=dict(
            config='mono_distill::assistants/bevdepth_r50_lidar_nus.py',
            checkpoint='work_dirs/bevdepth_r50_lidar_nus',
            forward=_base_.teacher_forward,
        ),
    ),
    **_base_.distill,
)
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.distill_pipeline)))
custom_hooks = [*_base_.custom_hooks, *_base_.distill_hooks]
# The check before training evaluates teacher and assistant on the validation frames: points, and depth of the pictures.
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            _base_.pictures, _base_.sweeps, _base_.image_test[0], _base_.image_aug[1], _base_.filters[0], _base_.pack,
        ]
    )
)  # fmt: skip
load_from = 'work_dirs/bevdepth_r50_nus'

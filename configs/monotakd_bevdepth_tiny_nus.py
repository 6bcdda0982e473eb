# MonoTAKD (CVPR 2025) on BEVDepth in small.
# Train these three first, or all in one: mono-distill stages configs/monotakd_bevdepth_tiny_nus.py
#   mim train mono_distill configs/teachers/centerpoint_tiny_nus.py
#   mim train mono_distill configs/students/bevdepth_tiny_nus.py
#   mim train mono_distill configs/assistants/bevdepth_tiny_lidar_nus.py
_base_ = ['./students/bevdepth_tiny_nus.py', './_base_/distill/monotakd_nus.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=_base_.model,
    teachers=dict(
        lidar=dict(
            config='mono_distill::teachers/centerpoint_tiny_nus.py',
            checkpoint='work_dirs/centerpoint_tiny_nus',
            forward=_base_.teacher_forward,
        ),
        assistant=dict(
            config='mono_distill::assistants/bevdepth_tiny_lidar_nus.py',
            checkpoint='work_dirs/bevdepth_tiny_lidar_nus',
            forward=_base_.teacher_forward,
        ),
    ),
    **_base_.distill,
)
model['adapters']['s_maps'].update(channels=[144], out_channels=[144])
model['adapters']['a_maps'].update(channels=[144], out_channels=[144])
model['targets']['detections']['topk'] = 50
train_dataloader = dict(dataset=dict(pipeline=_base_.distill_pipeline))
# On a handful of frames that all were trained on, a student can score as high as its teacher: only warn.
custom_hooks = [*_base_.custom_hooks, dict(_base_.distill_hooks[0], on_failure='warn')]
# The check before training evaluates teacher and assistant on the validation frames: points, and depth of the pictures.
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            _base_.pictures, _base_.sweeps, _base_.image_test[0], _base_.image_aug[1], _base_.filters[0], _base_.pack,
        ]
    )
)  # fmt: skip
load_from = 'work_dirs/bevdepth_tiny_nus'

# MonoTAKD on KITTI as in the paper, in small. Train these three first:
#   mim train mono_distill configs/teachers/pointpillars_tiny_bev_kitti.py
#   mim train mono_distill configs/students/caddn_tiny_kitti.py
#   mim train mono_distill configs/assistants/caddn_tiny_lidar_kitti.py
_base_ = [
    './_base_/tiny_runtime.py',
    './_base_/datasets/kitti_bev_tiny.py',
    './_base_/models/caddn_tiny.py',
    './_base_/schedules/adamw_tiny.py',
    './_base_/distill/monotakd.py',
]
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=dict(_base_.model, supervised=False),
    teachers=dict(
        lidar=dict(
            config='mono_distill::teachers/pointpillars_tiny_bev_kitti.py',
            checkpoint='work_dirs/pointpillars_tiny_bev_kitti',
        ),
        assistant=dict(
            config='mono_distill::assistants/caddn_tiny_lidar_kitti.py',
            checkpoint='work_dirs/caddn_tiny_lidar_kitti',
        ),
    ),
    **_base_.distill,
)
# On a handful of frames that all were trained on, a student can score as high as its teacher: only warn.
schedule_hook, grid_hook, check_hook = _base_.distill_hooks
custom_hooks = [*_base_.custom_hooks, schedule_hook, grid_hook, dict(check_hook, on_failure='warn')]
# The check of the teachers before training evaluates them on the validation frames.
val_dataloader = dict(dataset=dict(pipeline=_base_.lidar_test_pipeline))
load_from = 'work_dirs/caddn_tiny_kitti'

# MonoTAKD-Lite on KITTI: the student without spatial branch. Train these three first:
#   mim train mono_distill configs/teachers/second_bev_kitti.py
#   mim train mono_distill configs/students/caddn_r50_kitti.py
#   mim train mono_distill configs/assistants/caddn_r50_lidar_kitti.py
# LIDAR_TEACHER=pointpillars_bev_kitti takes the teacher that needs no compiled ops.
_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/kitti_bev.py',
    './_base_/models/caddn_r50.py',
    './_base_/schedules/adamw_onecycle_40e.py',
    './_base_/distill/monotakd_lite.py',
]
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=dict(_base_.model, supervised=False, sam=None, ffm=None),
    teachers=dict(
        lidar=dict(
            config='mono_distill::teachers/{{$LIDAR_TEACHER:second_bev_kitti}}.py',
            checkpoint='work_dirs/{{$LIDAR_TEACHER:second_bev_kitti}}',
        ),
        assistant=dict(
            config='mono_distill::assistants/caddn_r50_lidar_kitti.py',
            checkpoint='work_dirs/caddn_r50_lidar_kitti',
        ),
    ),
    **_base_.distill,
)
custom_hooks = [*_base_.custom_hooks, *_base_.distill_hooks]
# The check of the teachers before training evaluates them on the validation frames.
val_dataloader = dict(dataset=dict(pipeline=_base_.lidar_test_pipeline))

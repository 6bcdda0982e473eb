# MonoDistill as published: MonoDLE as student and as LiDAR-depth teacher. Train these two first (or name other checkpoints with
# --cfg-options load_from=FILE model.teachers.depth.checkpoint=FILE):
#   mim train mono_distill configs/teachers/monodle_depth_kitti.py
#   mim train mono_distill configs/students/monodle_kitti.py
_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/kitti_mono_384x1280.py',
    './_base_/models/monodle_dla34.py',
    './_base_/schedules/adam_160e.py',
    './_base_/distill/monodistill.py',
]
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    # Depth is trained on randomly cropped images too, where MonoDLE alone leaves it out: the teacher is imitated there.
    student=dict(_base_.model, train_cfg=dict(depth_mask='mask_2d')),
    teachers=dict(
        depth=dict(
            config='mono_distill::teachers/monodle_depth_kitti.py',
            checkpoint='work_dirs/monodle_depth_kitti',
        )
    ),
    **_base_.distill,
)
# As released: empty slots of the list of objects count for the heading, and so dilute it, and the corner pixel for the
# rest. Without this line objects alone count.
model['losses']['response'].update(heading_slots='all', include_origin_pixel=True)
# Twelve images a step, as published (two GPUs of six); crops are scaled and not shifted.
*loading, crop, color, objects, pack = _base_.train_pipeline
train_dataloader = dict(batch_size=12, dataset=dict(pipeline=[*loading, dict(crop, shift=0.0), color, objects, pack]))
custom_hooks = [*_base_.custom_hooks, *_base_.distill_hooks]
# The check of the teacher before training evaluates it on the validation frames, with their depth maps.
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
load_from = 'work_dirs/monodle_kitti'

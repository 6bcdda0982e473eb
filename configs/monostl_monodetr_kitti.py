# MonoSTL on MonoDETR. The paper claims detectors of the DETR type, too, but neither code nor setting is published: here
# MonoDETR's setting with the weights of MonoSTL on MonoDLE. Train these two first (or name other checkpoints with
# --cfg-options load_from=FILE model.teachers.depth.checkpoint=FILE):
#   mim train mono_distill configs/teachers/monodetr_depth_kitti.py
#   mim train mono_distill configs/students/monodetr_kitti.py
_base_ = ['./students/monodetr_kitti.py', './_base_/distill/monostl_detr.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=_base_.model,
    teachers=dict(
        depth=dict(
            config='mono_distill::teachers/monodetr_depth_kitti.py',
            checkpoint='work_dirs/monodetr_depth_kitti',
            forward=_base_.teacher_forward,
        )
    ),
    **_base_.distill,
)
custom_hooks = [*_base_.custom_hooks, *_base_.distill_hooks]
# The check of the teacher before training evaluates it on the validation frames, with their depth maps.
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
load_from = 'work_dirs/monodetr_kitti'

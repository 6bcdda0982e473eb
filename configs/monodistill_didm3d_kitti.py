# MonoDistill on DID-M3D, as MonoSKD's authors ran it for comparison. Train these two first (or name other checkpoints
# with --cfg-options load_from=FILE model.teachers.depth.checkpoint=FILE):
#   mim train mono_distill configs/teachers/didm3d_depth_kitti.py
#   mim train mono_distill configs/students/didm3d_kitti.py
_base_ = ['./students/didm3d_kitti.py', './_base_/distill/monodistill_did.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=dict(_base_.model, bbox_head=dict(_base_.model.bbox_head, sparse_2d=False)),
    teachers=dict(
        depth=dict(
            config='mono_distill::teachers/didm3d_depth_kitti.py',
            checkpoint='work_dirs/didm3d_depth_kitti',
            forward=_base_.teacher_forward,
        )
    ),
    **_base_.distill,
)
# HTL starts anew: the losses it holds back weigh nothing for the first epochs, though the student has been trained.
# Released weights of HTL, which mistake one loss for another: released_order=('kd_feature', 'kd_affinity',
# 'kd_response').
custom_hooks = [*_base_.custom_hooks, *_base_.distill_hooks]
# The check of the teacher before training evaluates it on the validation frames, with their depth maps.
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
load_from = 'work_dirs/didm3d_kitti'

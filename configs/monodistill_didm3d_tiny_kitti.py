# MonoDistill on DID-M3D in small. Train these two first:
#   mim train mono_distill configs/teachers/didm3d_depth_tiny_kitti.py
#   mim train mono_distill configs/students/didm3d_tiny_kitti.py
_base_ = ['./students/didm3d_tiny_kitti.py', './_base_/distill/monodistill_did.py']
model = dict(
    _delete_=True,
    type='mono_distill.CrossModalDistiller',
    student=dict(_base_.model, bbox_head=dict(_base_.model.bbox_head, sparse_2d=False)),
    teachers=dict(
        depth=dict(
            config='mono_distill::teachers/didm3d_depth_tiny_kitti.py',
            checkpoint='work_dirs/didm3d_depth_tiny_kitti',
            forward=_base_.teacher_forward,
        )
    ),
    **_base_.distill,
)
model['adapters'] = dict(
    s_fused=dict(_base_.distill.adapters.s_fused, channels=(32, 64, 128), mid_channels=64),
    s_adapted=dict(_base_.distill.adapters.s_adapted, channels=(32, 64, 128)),
)
# On a handful of frames that both were trained on, a student can score as high as its teacher: only warn.
schedule_hook, check_hook = _base_.distill_hooks
custom_hooks = [*_base_.custom_hooks, schedule_hook, dict(check_hook, on_failure='warn')]
# The check of the teacher before training evaluates it on the validation frames, with their depth maps.
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
load_from = 'work_dirs/didm3d_tiny_kitti'

# MonoSKD on SMOKE in small. Train smoke_depth_tiny_kitti.py and smoke_tiny_kitti.py first.
_base_ = ['./smoke_monoskd_kitti.py', './_base_/smoke_tiny.py']
model = dict(
    student=_base_.tiny_model,
    teachers=dict(
        depth=dict(config='{{fileDirname}}/smoke_depth_tiny_kitti.py', checkpoint='work_dirs/smoke_depth_tiny_kitti'),
    ),
    adapters=dict(s_adapted=dict(channels=(16, 32, 64, 128))),
)
train_dataloader = _base_.tiny_train_dataloader
val_dataloader = _base_.tiny_val_dataloader
test_dataloader = _base_.tiny_val_dataloader
val_evaluator = _base_.tiny_evaluator
test_evaluator = _base_.tiny_evaluator
optim_wrapper = _base_.tiny_optim_wrapper
train_cfg = _base_.tiny_train_cfg
# On a handful of frames that both were trained on, a student can score as high as its teacher: only warn.
custom_hooks = [
    dict(type='mono_distill.TeacherCheckHook', metric='KITTI/Car_3D_AP40_moderate_loose', on_failure='warn'),
]
load_from = 'work_dirs/smoke_tiny_kitti'

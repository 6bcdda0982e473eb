# SMOKE in small: the student, and the control without a teacher.
_base_ = ['mmdet3d::smoke/smoke_dla34_dlaneck_gn-all_4xb8-6x_kitti-mono3d.py', './_base_/smoke_tiny.py']
custom_imports = dict(imports=['mono_distill'], allow_failed_imports=False)
randomness = dict(seed=444)
model = _base_.tiny_model
train_dataloader = _base_.tiny_train_dataloader
val_dataloader = _base_.tiny_val_dataloader
test_dataloader = _base_.tiny_val_dataloader
val_evaluator = _base_.tiny_evaluator
test_evaluator = _base_.tiny_evaluator
optim_wrapper = _base_.tiny_optim_wrapper
train_cfg = _base_.tiny_train_cfg

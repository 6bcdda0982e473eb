# PointPillars as LiDAR teacher on the grid of MonoTAKD's student; runs everywhere.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/kitti_bev.py',
    '../_base_/models/pointpillars_bev.py',
    '../_base_/schedules/adamw_onecycle_80e.py',
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=_base_.points_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.points_test_pipeline))
test_dataloader = val_dataloader
peak = 3e-3
optim_wrapper = dict(optimizer=dict(lr=peak))
param_scheduler = [dict(_base_.param_scheduler[0], eta_max=peak)]

# The LiDAR teacher in small.
_base_ = [
    '../_base_/tiny_runtime.py',
    '../_base_/datasets/kitti_bev_tiny.py',
    '../_base_/models/pointpillars_tiny_bev.py',
    '../_base_/schedules/adamw_tiny.py',
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.points_train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=_base_.points_test_pipeline))
test_dataloader = val_dataloader

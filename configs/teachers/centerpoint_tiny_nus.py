# The LiDAR teacher in small: minutes on two cores, on the embedded nuScenes world.
_base_ = [
    '../_base_/datasets/nus_bev_tiny.py',
    '../_base_/models/centerpoint_tiny.py',
    '../_base_/schedules/adamw_nus_tiny.py',
    '../_base_/tiny_runtime.py',
]
train_dataloader = dict(dataset=dict(pipeline=_base_.points_train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.points_test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(sensors=['lidar'])
test_evaluator = val_evaluator

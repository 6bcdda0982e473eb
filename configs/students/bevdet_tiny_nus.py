# BEVDet in small: 128x352 images, a map of 64x64 cells, two CPU cores, a few minutes.
_base_ = [
    '../_base_/tiny_runtime.py',
    '../_base_/datasets/nus_bev_tiny.py',
    '../_base_/models/bevdet_tiny.py',
    '../_base_/schedules/adamw_nus_tiny.py',
]
train_dataloader = dict(dataset=dict(pipeline=_base_.camera_train_pipeline))

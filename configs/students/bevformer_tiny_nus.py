# BEVFormer in small: 128x352 images, a map of 64x64 cells, two key-frames, two CPU cores, a few minutes.
_base_ = [
    '../_base_/tiny_runtime.py',
    '../_base_/datasets/nus_bev_tiny.py',
    '../_base_/models/bevformer_tiny.py',
    '../_base_/schedules/adamw_nus_tiny.py',
]
# Two frames, and nothing of the LiDAR.
train_pipeline = [
    _base_.pictures_4d,
    _base_.annotations,
    _base_.image_aug[0],
    _base_.world_aug,
    *_base_.filters[1:],
    _base_.pack_pictures,
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_4d_pipeline))
test_dataloader = val_dataloader

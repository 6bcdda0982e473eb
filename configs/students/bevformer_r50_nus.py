# BEVFormer on nuScenes: ResNet-50, 256x704 images, two key-frames.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/nus_bev_256x704.py',
    '../_base_/models/bevformer_r50.py',
    '../_base_/schedules/adamw_bevformer_24e.py',
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

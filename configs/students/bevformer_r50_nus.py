# BEVFormer on nuScenes: ResNet-50, 256x704 images, two key-frames.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/nus_bev_256x704.py',
    '../_base_/models/bevformer_r50.py',
    '../_base_/schedules/adamw_bevformer_24e.py',
]
train_dataloader = dict(dataset=dict(pipeline=_base_.camera_train_4d_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_4d_pipeline))
test_dataloader = val_dataloader

# BEVDet on nuScenes as published: ResNet-50, 256x704 images, class-balanced samples (CBGS), averaged weights (EMA).
# For 8 GPUs with 8 samples each.
_base_ = [
    '../_base_/nus_runtime.py',
    '../_base_/datasets/nus_bev_256x704_cbgs.py',
    '../_base_/models/bevdet_r50.py',
    '../_base_/schedules/adamw_nus_20e_cbgs.py',
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=_base_.camera_train_pipeline)))

# CenterPoint on voxels of 0.1 m (mmdet3d's weights: 56.1 mAP, 64.6 NDS with circle NMS). Needs CUDA and mmcv with compiled
# ops.
_base_ = [
    '../_base_/datasets/nus_bev_256x704_cbgs.py',
    '../_base_/models/centerpoint_voxel01.py',
    '../_base_/schedules/cyclic_20e_nus.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=4, dataset=dict(dataset=dict(pipeline=_base_.points_train_pipeline)))
val_dataloader = dict(batch_size=4, dataset=dict(pipeline=_base_.points_test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(sensors=['lidar'])
test_evaluator = val_evaluator

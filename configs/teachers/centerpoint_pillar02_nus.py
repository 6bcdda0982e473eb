# CenterPoint on pillars, the LiDAR teacher of the multi-view students. mmdet3d publishes weights of it (48.7 mAP, 59.6 NDS
# with circle NMS, 49.1 and 59.7 with rotated): they load as they are, `mono-distill test CONFIG CHECKPOINT`. That training
# also pastes objects into the scans (GT sampling), which this one does not.
_base_ = [
    '../_base_/datasets/nus_bev_256x704_cbgs.py',
    '../_base_/models/centerpoint_pillar02.py',
    '../_base_/schedules/cyclic_20e_nus.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=4, dataset=dict(dataset=dict(pipeline=_base_.points_train_pipeline)))
val_dataloader = dict(batch_size=4, dataset=dict(pipeline=_base_.points_test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(sensors=['lidar'])
test_evaluator = val_evaluator

# MonoTAKD's teaching assistant: the student's architecture, which takes its depth from the LiDAR. Trained by annotations
# before it is frozen; the paper does not say how it trains. As in the paper it has one context, no alignment and no
# fusion. It starts from the trained student (train configs/students/caddn_r50_kitti.py first): told the depth, that
# knows most already, and only then do the maps of both mean the same.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/kitti_bev.py',
    '../_base_/models/caddn_r50.py',
    '../_base_/schedules/adamw_onecycle_80e.py',
]
model = dict(depth_source='lidar', depth_head=None, sam=None, ffm=None)
# The map of the last stage would go to the depth head, which is not there.
model['backbone'] = dict(num_stages=3, strides=(1, 2, 1), dilations=(1, 1, 2), out_indices=(2,))
val_dataloader = dict(dataset=dict(pipeline=_base_.lidar_test_pipeline))
test_dataloader = val_dataloader
load_from = 'work_dirs/caddn_r50_kitti'

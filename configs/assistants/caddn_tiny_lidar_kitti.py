# The teaching assistant in small; train configs/students/caddn_tiny_kitti.py first.
_base_ = ['../students/caddn_tiny_kitti.py']
model = dict(depth_source='lidar', depth_head=None, depth_loss=None, sam=None, ffm=None)
model['backbone'] = dict(num_stages=3, strides=(1, 2, 1), dilations=(1, 1, 2), out_indices=(2,))
val_dataloader = dict(dataset=dict(pipeline=_base_.lidar_test_pipeline))
test_dataloader = val_dataloader
load_from = 'work_dirs/caddn_tiny_kitti'

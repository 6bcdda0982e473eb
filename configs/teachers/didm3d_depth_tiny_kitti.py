# The LiDAR teacher in small.
_base_ = ['../students/didm3d_tiny_kitti.py']
model = dict(data_preprocessor=dict(modality='depth'))
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
test_dataloader = val_dataloader

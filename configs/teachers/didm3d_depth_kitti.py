# The LiDAR teacher of MonoSKD: DID-M3D on the completed LiDAR depth map instead of the image.
_base_ = ['../students/didm3d_kitti.py']
model = dict(data_preprocessor=dict(modality='depth'))
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
test_dataloader = val_dataloader

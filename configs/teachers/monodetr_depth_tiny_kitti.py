# MonoDETR on LiDAR depth in small.
_base_ = ['../students/monodetr_tiny_kitti.py']
model = dict(data_preprocessor=dict(modality='depth'))
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))

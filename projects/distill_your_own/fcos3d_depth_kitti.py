# The LiDAR teacher: the same FCOS3D, which looks at the completed LiDAR depth map instead of the picture.
_base_ = './fcos3d_kitti.py'
model = dict(data_preprocessor=dict(_delete_=True, type='mono_distill.DepthDet3DDataPreprocessor', pad_size_divisor=32))
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type='mono_distill.WithDepthMap', transforms=_base_.train_pipeline)])
)
val_dataloader = dict(dataset=dict(pipeline=[dict(type='mono_distill.WithDepthMap', transforms=_base_.test_pipeline)]))
test_dataloader = val_dataloader

# The LiDAR teacher in small.
_base_ = './smoke_tiny_kitti.py'
model = dict(data_preprocessor=dict(_delete_=True, type='mono_distill.DepthDet3DDataPreprocessor', pad_size_divisor=32))

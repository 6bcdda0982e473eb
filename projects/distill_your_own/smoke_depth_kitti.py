# The LiDAR teacher: mmdet3d's SMOKE, which looks at the completed LiDAR depth map instead of the picture.
_base_ = 'mmdet3d::smoke/smoke_dla34_dlaneck_gn-all_4xb8-6x_kitti-mono3d.py'
custom_imports = dict(imports=['mono_distill'], allow_failed_imports=False)
randomness = dict(seed=444)
model = dict(data_preprocessor=dict(_delete_=True, type='mono_distill.DepthDet3DDataPreprocessor', pad_size_divisor=32))
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type='mono_distill.WithDepthMap', transforms=_base_.train_pipeline)])
)
val_dataloader = dict(dataset=dict(pipeline=[dict(type='mono_distill.WithDepthMap', transforms=_base_.test_pipeline)]))
test_dataloader = val_dataloader
# KITTI's evaluation on any machine; that of mmdet3d needs a GPU.
val_evaluator = dict(_delete_=True, type='mono_distill.KittiMonoMetric', ann_file='data/kitti/kitti_infos_val.pkl')
test_evaluator = val_evaluator

# FCOS3D on KITTI: mmdet3d's model, which comes for nuScenes, without velocities, attributes and deformable convolution.
_base_ = [
    'mmdet3d::_base_/models/fcos3d.py',
    'mmdet3d::_base_/datasets/kitti-mono3d.py',
    'mmdet3d::_base_/schedules/mmdet-schedule-1x.py',
    'mmdet3d::_base_/default_runtime.py',
]
custom_imports = dict(imports=['mono_distill'], allow_failed_imports=False)
randomness = dict(seed=444)
model = dict(
    backbone=dict(init_cfg=dict(checkpoint='{{$RESNET101_CAFFE:open-mmlab://detectron2/resnet101_caffe}}')),
    bbox_head=dict(
        num_classes=3,
        bbox_code_size=7,
        pred_attrs=False,
        pred_velo=False,
        group_reg_dims=(2, 1, 3, 1),  # offset, depth, size, rotation
        reg_branch=((256,), (256,), (256,), (256,)),
        bbox_coder=dict(code_size=7),
        dcn_on_last_conv=False,
    ),
    train_cfg=dict(code_weight=[1.0, 1.0, 0.2, 1.0, 1.0, 1.0, 1.0]),
)
# Unlike Resize, Resize3D moves the projected centres and the camera with the picture.
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='Resize3D', scale=(1242, 375), keep_ratio=True),
    *_base_.train_pipeline[3:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    optimizer=dict(lr=0.002),
    paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=35, norm_type=2),
)
val_evaluator = dict(_delete_=True, type='mono_distill.KittiMonoMetric', ann_file='data/kitti/kitti_infos_val.pkl')
test_evaluator = val_evaluator

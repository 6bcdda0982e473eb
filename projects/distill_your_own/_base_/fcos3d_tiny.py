# A thin FCOS3D for 96x320 pictures and a CPU: what the tiny configs put over mmdet3d's. It trains and evaluates on
# kitti_infos_trainval.pkl, so that any handful of frames will do; KITTI_TRAIN=train KITTI_VAL=val take the usual split.
# KITTI_ROOT names the data and IMAGE_SCALE their size relative to KITTI's (0.25: mono-distill synth kitti).
tiny_root = '{{$KITTI_ROOT:data/kitti}}'
tiny_model = dict(
    backbone=dict(_delete_=True, type='mmdet.ResNet', depth=18, base_channels=16, norm_cfg=dict(type='BN')),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=32, num_outs=3),
    bbox_head=dict(
        in_channels=32,
        feat_channels=32,
        strides=(8, 16, 32),
        regress_ranges=((-1, 32), (32, 64), (64, 1e8)),
        cls_branch=(32,),
        reg_branch=((32,), (32,), (32,), (32,)),
        dir_branch=(32,),
        centerness_branch=(32,),
    ),
)
tiny_train_pipeline = [
    dict(type='LoadImageFromFileMono3D'),
    dict(type='LoadAnnotations3D', with_bbox=True, with_label=True, with_bbox_depth=True, with_label_3d=True),
    dict(type='Resize3D', scale=(320, 96), keep_ratio=True),
    dict(type='RandomFlip3D', flip_ratio_bev_horizontal=0.5),
    dict(
        type='Pack3DDetInputs',
        keys=['img', 'gt_bboxes', 'gt_bboxes_labels', 'gt_bboxes_3d', 'gt_labels_3d', 'centers_2d', 'depths'],
    ),
]
tiny_test_pipeline = [
    dict(type='LoadImageFromFileMono3D'),
    dict(type='mmdet.Resize', scale=(320, 96), keep_ratio=True),
    dict(type='Pack3DDetInputs', keys=['img']),
]
tiny_train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        data_root=tiny_root,
        ann_file='kitti_infos_{{$KITTI_TRAIN:trainval}}.pkl',
        pipeline=[dict(type='mono_distill.WithDepthMap', transforms=tiny_train_pipeline)],
    ),
)
tiny_val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        data_root=tiny_root,
        ann_file='kitti_infos_{{$KITTI_VAL:trainval}}.pkl',
        pipeline=[dict(type='mono_distill.WithDepthMap', transforms=tiny_test_pipeline)],
    ),
)
tiny_evaluator = dict(
    _delete_=True,
    type='mono_distill.KittiMonoMetric',
    ann_file=tiny_root + '/kitti_infos_{{$KITTI_VAL:trainval}}.pkl',
    image_scale=float('{{$IMAGE_SCALE:1.0}}'),
)
tiny_optim_wrapper = dict(optimizer=dict(lr=1e-3))
tiny_train_cfg = dict(max_epochs=40, val_interval=10)

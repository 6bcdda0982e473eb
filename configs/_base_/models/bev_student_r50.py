# What BEVDet and BEVDepth have in common: ResNet-50 on 256x704 images, and CenterPoint's head on a map of 128x128 cells
# of 0.8 m in the LiDAR frame.
student_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
student_voxel = [0.2, 0.2, 8]
model = dict(
    data_preprocessor=dict(type='mono_distill.BEVDataPreprocessor', modality='camera'),
    # 'timm' fetches torchvision's first ImageNet weights from timm; a path reads a file (torchvision's or timm's); None
    # starts from random weights.
    img_backbone=dict(
        type='mono_distill.ImageNetResNet',
        depth=50,
        out_indices=(0, 1, 2, 3),
        frozen_stages=0,
        norm_cfg=dict(type='BN'),
        norm_eval=False,
        pretrained='{{$RESNET50_WEIGHTS:timm}}',
    ),
    pts_bbox_head=dict(
        type='mono_distill.BEVCenterHead',
        in_channels=256,
        tasks=[
            dict(num_class=1, class_names=['car']),
            dict(num_class=2, class_names=['truck', 'construction_vehicle']),
            dict(num_class=2, class_names=['bus', 'trailer']),
            dict(num_class=1, class_names=['barrier']),
            dict(num_class=2, class_names=['motorcycle', 'bicycle']),
            dict(num_class=2, class_names=['pedestrian', 'traffic_cone']),
        ],
        common_heads=dict(reg=(2, 2), height=(1, 2), dim=(3, 2), rot=(2, 2), vel=(2, 2)),
        share_conv_channel=64,
        bbox_coder=dict(
            type='CenterPointBBoxCoder',
            pc_range=student_range[:2],
            post_center_range=[-61.2, -61.2, -10.0, 61.2, 61.2, 10.0],
            max_num=500,
            score_threshold=0.1,
            out_size_factor=4,
            voxel_size=student_voxel[:2],
            code_size=9,
        ),
        separate_head=dict(type='SeparateHead', init_bias=-2.19, final_kernel=3),
        loss_cls=dict(type='mmdet.GaussianFocalLoss', reduction='mean'),
        loss_bbox=dict(type='mmdet.L1Loss', reduction='mean', loss_weight=0.25),
        norm_bbox=True,
    ),
    train_cfg=dict(
        pts=dict(
            grid_size=[512, 512, 1],
            point_cloud_range=student_range,
            voxel_size=student_voxel,
            out_size_factor=4,
            dense_reg=1,
            gaussian_overlap=0.1,
            max_objs=500,
            min_radius=2,
            code_weights=[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.2, 0.2],
        )
    ),
    test_cfg=dict(
        pts=dict(
            post_center_limit_range=[-61.2, -61.2, -10.0, 61.2, 61.2, 10.0],
            # Squared metres between centres.
            min_radius=[4, 12, 10, 1, 0.85, 0.175],
            score_threshold=0.1,
            nms_type='circle',
            pre_max_size=1000,
            post_max_size=83,
            nms_thr=0.2,
        )
    ),
)

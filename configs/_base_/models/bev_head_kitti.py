# What teacher, assistant and student share on KITTI (MonoTAKD, CMKD): the range, SECOND's BEV backbone, and its anchor
# head. Anchors and thresholds are in the order of the classes Car, Pedestrian, Cyclist; z is that of the bottom.
point_cloud_range = [2.0, -30.08, -3.0, 46.8, 30.08, 1.0]
depth_range = (2.0, 46.8)
bev_backbone = dict(type='SECOND', in_channels=128, layer_nums=[5, 5], layer_strides=[1, 2], out_channels=[128, 256])
bev_neck = dict(type='SECONDFPN', in_channels=[128, 256], upsample_strides=[1, 2], out_channels=[256, 256])
bev_head = dict(
    type='mono_distill.KittiAnchorHead',
    num_classes=3,
    in_channels=512,
    iou_thresholds=[(0.6, 0.45), (0.5, 0.35), (0.5, 0.35)],
    anchor_generator=dict(
        type='Anchor3DRangeGenerator',
        ranges=[
            [2.0, -30.08, -1.78, 46.8, 30.08, -1.78],
            [2.0, -30.08, -0.6, 46.8, 30.08, -0.6],
            [2.0, -30.08, -0.6, 46.8, 30.08, -0.6],
        ],
        sizes=[[3.9, 1.6, 1.56], [0.8, 0.6, 1.73], [1.76, 0.6, 1.73]],
        rotations=[0, 1.57],
    ),
    bbox_coder=dict(type='DeltaXYZWLHRBBoxCoder'),
    loss_cls=dict(type='mmdet.FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
    loss_bbox=dict(type='mmdet.SmoothL1Loss', beta=1.0 / 9.0, loss_weight=2.0),
    loss_dir=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=False, loss_weight=0.2),
    test_cfg=dict(use_rotate_nms=True, nms_thr=0.01, score_thr=0.1, nms_pre=4096, max_num=500),
)

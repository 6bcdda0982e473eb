# BEVFormer (ECCV 2022) on ResNet-50 in the sizes of the released bevformer_tiny.py: frozen norms, one map of stride 32, 256
# channels, 3 encoder layers, 6 decoder layers, 900 queries. Different from it: the grid has 128x128 cells of 0.8 m, those
# of CenterPoint, where theirs has 50x50; one past key-frame instead of two; 256x704 images as for BEVDet; no CAN bus.
model = dict(
    type='mono_distill.BEVFormer',
    data_preprocessor=dict(type='mono_distill.BEVDataPreprocessor', modality='camera'),
    # 'timm' fetches torchvision's first ImageNet weights from timm; a path reads a file (torchvision's or timm's); None
    # starts from random weights.
    img_backbone=dict(
        type='mono_distill.ImageNetResNet',
        depth=50,
        out_indices=(3,),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        pretrained='{{$RESNET50_WEIGHTS:timm}}',
    ),
    img_neck=dict(type='mmdet.FPN', in_channels=[2048], out_channels=256, num_outs=1),
    encoder=dict(
        bev_size=(128, 128),
        point_range=[-51.2, -51.2, -5.0, 51.2, 51.2, 3.0],
        num_layers=3,
        num_cameras=6,
        num_levels=1,
        num_heads=8,
        num_heights=4,
        num_points=8,
        temporal_points=4,
        feedforward_channels=512,
        dropout=0.1,
        # No camera of nuScenes sees more than a third of the grid.
        max_share=0.4,
    ),
    decoder=dict(num_queries=900, num_layers=6, num_heads=8, num_points=4, feedforward_channels=512, dropout=0.1),
    pts_bbox_head=dict(
        type='mono_distill.BEVFormerHead',
        num_classes=10,
        in_channels=256,
        num_layers=6,
        point_range=[-51.2, -51.2, -5.0, 51.2, 51.2, 3.0],
        test_cfg=dict(max_num=300),
    ),
    num_frames=2,
    embed_dims=256,
    history_mode='eval',
)

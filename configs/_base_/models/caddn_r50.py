# MonoTAKD's student (CVPR 2025): ResNet-50 dilated to stride 8, 120 depth bins, voxels of 0.32 x 0.32 x 0.4 m, SCNet on
# the visual map, spatial alignment and fusion before SECOND's BEV backbone. sam=None, ffm=None is CMKD's student.
# Published models start from torchvision's DeepLab v3 of COCO; here the backbone starts from ImageNet.
_base_ = './bev_head_kitti.py'
model = dict(
    type='mono_distill.CaDDNBEV',
    data_preprocessor=dict(type='mono_distill.KittiBEVDataPreprocessor', modality='camera'),
    # 'timm' fetches torchvision's first ImageNet weights from timm; a path reads a file (torchvision's or timm's); None
    # starts from random weights.
    backbone=dict(
        type='mono_distill.ImageNetResNet',
        depth=50,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        out_indices=(2, 3),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        pretrained='{{$RESNET50_WEIGHTS:timm}}',
    ),
    context=dict(in_channels=1024, channels=64),
    depth_head=dict(in_channels=2048, bins=120, channels=256, dilations=(12, 24, 36)),
    view=dict(
        point_cloud_range=_base_.point_cloud_range, voxels=(140, 188, 10), bins=120, depth_range=_base_.depth_range
    ),
    bev_channels=128,
    scnet=dict(num_blocks=4),
    sam=dict(),
    ffm=dict(hidden_channels=256),
    bev_backbone=_base_.bev_backbone,
    bev_neck=_base_.bev_neck,
    bbox_head=_base_.bev_head,
)

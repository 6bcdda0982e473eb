# MonoTAKD's student in small: pictures 320 pixels wide, 40 depth bins, cells of 0.64 m. Group norms let it train with
# any number of images per process.
_base_ = './bev_head_tiny.py'
gn = dict(type='GN', num_groups=8)
model = dict(
    type='mono_distill.CaDDNBEV',
    data_preprocessor=dict(type='mono_distill.KittiBEVDataPreprocessor', modality='camera'),
    backbone=dict(
        type='mono_distill.ImageNetResNet',
        depth=18,
        base_channels=16,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        out_indices=(2, 3),
        norm_cfg=dict(type='GN', num_groups=8, requires_grad=True),
        norm_eval=False,
        pretrained=None,
    ),
    context=dict(in_channels=64, channels=32),
    depth_head=dict(in_channels=128, bins=40, channels=32, dilations=(2, 4), dropout=0.0),
    view=dict(point_cloud_range=_base_.point_cloud_range, voxels=(70, 94, 5), bins=40, depth_range=_base_.depth_range),
    bev_channels=32,
    norm_groups=8,
    scnet=dict(num_blocks=2),
    sam=dict(dilations=(2, 4)),
    ffm=dict(hidden_channels=64),
    bev_backbone=dict(_base_.bev_backbone, norm_cfg=gn),
    bev_neck=dict(_base_.bev_neck, norm_cfg=gn),
    bbox_head=_base_.bev_head,
)

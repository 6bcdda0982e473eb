# MonoDETR (ICCV 2023) on ResNet-50 with frozen stem, first stage and batch norms: 37.1 M trainable parameters. Neck,
# encoder and decoder have 256 channels; training runs 11 groups of 50 queries, inference the first.
model = dict(
    type='mono_distill.MonoDETR',
    data_preprocessor=dict(type='mono_distill.Mono3DDataPreprocessor', modality='rgb'),
    # 'timm' fetches torchvision's first ImageNet weights from timm; a path reads a file (torchvision's or timm's); None
    # starts from random weights.
    backbone=dict(
        type='mono_distill.ImageNetResNet',
        depth=50,
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        pretrained='{{$RESNET50_WEIGHTS:timm}}',
    ),
    # bias: 'auto' would leave it out before a norm, where the official model has one.
    neck=dict(
        type='mmdet.ChannelMapper',
        in_channels=[512, 1024, 2048],
        kernel_size=1,
        out_channels=256,
        act_cfg=None,
        norm_cfg=dict(type='GN', num_groups=32),
        num_outs=4,
        bias=True,
    ),
    bbox_head=dict(type='mono_distill.MonoDETRHead', num_classes=3, in_channels=256, num_layers=3),
    encoder=dict(num_layers=3, feedforward_channels=256, dropout=0.1),
    decoder=dict(num_layers=3, feedforward_channels=256, dropout=0.1, cond_self_attn=True),
    num_queries=50,
    num_groups=11,
    embed_dims=256,
)

# DID-M3D (ECCV 2022) on DLA-34 with DLAUp, 20.8 M parameters.
model = dict(
    type='mono_distill.CenterNetMono3D',
    data_preprocessor=dict(type='mono_distill.Mono3DDataPreprocessor', modality='rgb'),
    # 'timm' fetches timm's ImageNet weights; a path reads a file (official dla34-ba72cf86.pth or timm's); None starts
    # from random weights.
    backbone=dict(type='mono_distill.DLANet', depth=34, pretrained='{{$DLA34_WEIGHTS:timm}}'),
    neck=dict(type='mono_distill.DLAUpNeck', in_channels=(64, 128, 256, 512)),
    # Released weights want pixel_mode='official'.
    bbox_head=dict(type='mono_distill.DIDHead', num_classes=3, in_channels=64, feat_channels=256),
)

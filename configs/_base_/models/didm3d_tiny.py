# DID-M3D on a thin ResNet-18, for 96x320 images on a CPU.
model = dict(
    type='mono_distill.CenterNetMono3D',
    data_preprocessor=dict(type='mono_distill.Mono3DDataPreprocessor', modality='rgb'),
    backbone=dict(type='mmdet.ResNet', depth=18, base_channels=16, norm_cfg=dict(type='BN'), norm_eval=False),
    neck=dict(type='mono_distill.DLAUpNeck', in_channels=(16, 32, 64, 128), coord_channels=True),
    bbox_head=dict(type='mono_distill.DIDHead', num_classes=3, in_channels=16, feat_channels=64),
)

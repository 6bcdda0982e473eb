# BEVDet4D (arXiv 2203.17054): the key-frame half a second back; each frame's map is encoded before they are merged.
_base_ = ['./bevdet_r50.py']
model = dict(
    num_frames=2,
    pre_process=dict(
        type='mono_distill.BEVResNet',
        in_channels=64,
        base_channels=64,
        num_blocks=(2,),
        strides=(1,),
        stem_stride=None,
        keep_input=False,
    ),
    bev_backbone=dict(in_channels=128),
)

# BEVDepth with the key-frame half a second back ("2key" of the official code).
_base_ = ['./bevdepth_r50.py']
model = dict(num_frames=2, bev_backbone=dict(in_channels=160), bev_neck=dict(in_channels=[160, 160, 320, 640]))

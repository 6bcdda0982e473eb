# The small BEVDet with the key-frame half a second back.
_base_ = ['./bevdet_tiny.py']
model = dict(num_frames=2, bev_backbone=dict(in_channels=64))

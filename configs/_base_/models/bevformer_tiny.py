# BEVFormer in small, for 128x352 images on a CPU: a thin ResNet-18, 64 channels, a grid of 64x64 cells of 1.6 m as that of
# centerpoint_tiny.py, 2 encoder layers, 3 decoder layers, 100 queries.
_base_ = ['./bevformer_r50.py']
model = dict(
    img_backbone=dict(
        _delete_=True,
        type='mmdet.ResNet',
        depth=18,
        base_channels=32,
        out_indices=(2, 3),
        norm_cfg=dict(type='BN'),
        norm_eval=False,
    ),
    img_neck=dict(in_channels=[128, 256], out_channels=64, num_outs=2),
    encoder=dict(bev_size=(64, 64), num_layers=2, num_levels=2, num_heads=4, feedforward_channels=128, dropout=0.0),
    decoder=dict(num_queries=100, num_layers=3, num_heads=4, feedforward_channels=128, dropout=0.0),
    pts_bbox_head=dict(in_channels=64, num_layers=3, test_cfg=dict(max_num=100)),
    embed_dims=64,
    # Its batch norms learn.
    history_mode='train',
)

# The grid, BEV backbone and head of kitti_bev_tiny.py: the same range in cells of 0.64 m.
_base_ = './bev_head_kitti.py'
bev_backbone = dict(in_channels=32, layer_nums=[2, 2], out_channels=[32, 64])
bev_neck = dict(in_channels=[32, 64], out_channels=[32, 32])
bev_head = dict(in_channels=64, test_cfg=dict(nms_pre=500, max_num=50))

# MonoTAKD's student in small, trained on its own: two CPU cores, a few minutes.
_base_ = [
    '../_base_/tiny_runtime.py',
    '../_base_/datasets/kitti_bev_tiny.py',
    '../_base_/models/caddn_tiny.py',
    '../_base_/schedules/adamw_tiny.py',
]
model = dict(
    depth_loss=dict(type='mono_distill.DDNLoss', depth_range=_base_.depth_range, foreground_weight=1.0, loss_weight=3.0)
)

# MonoTAKD's student trained on its own, by annotations and LiDAR depth, as CaDDN is (without CaDDN's heavier weight of
# pixels inside of 2D boxes): what distillation has to improve on.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/kitti_bev.py',
    '../_base_/models/caddn_r50.py',
    '../_base_/schedules/adamw_onecycle_80e.py',
]
model = dict(
    depth_loss=dict(type='mono_distill.DDNLoss', depth_range=_base_.depth_range, foreground_weight=1.0, loss_weight=3.0)
)

# MonoTAKD's teaching assistant on nuScenes in small: BEVDepth that takes the LiDAR's depth wherever there is one. Its own
# depth net, supervised as ever, fills the other cells. Trained by annotations, from the trained student on, before it is
# frozen.
_base_ = ['../students/bevdepth_tiny_nus.py']
model = dict(depth_mode='gt_onehot')
# Depth for evaluation too, from the key-frame's own scan.
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            _base_.pictures, _base_.scan, _base_.image_test[0], _base_.image_aug[1], _base_.filters[0],
            _base_.pack_pictures,
        ]
    )
)  # fmt: skip
test_dataloader = val_dataloader
load_from = 'work_dirs/bevdepth_tiny_nus'

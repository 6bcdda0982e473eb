# MonoTAKD's teaching assistant on nuScenes: BEVDepth that takes the LiDAR's depth wherever there is one, trained by
# annotations before it is frozen. Its own depth net, supervised as ever, fills the other cells. It starts from the
# trained student, so that the maps of both mean the same.
_base_ = ['../students/bevdepth_r50_nus.py']
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
load_from = 'work_dirs/bevdepth_r50_nus'

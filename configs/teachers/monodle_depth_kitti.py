# The LiDAR teacher: MonoDLE on the completed LiDAR depth map instead of the image. As in MonoDistill, randomly cropped
# images train the depth too (scaled by the crop): the student is to imitate it on them.
_base_ = ['../students/monodle_kitti.py']
model = dict(data_preprocessor=dict(modality='depth'), train_cfg=dict(depth_mask='mask_2d'))
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
test_dataloader = val_dataloader

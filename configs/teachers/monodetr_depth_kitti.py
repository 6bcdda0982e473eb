# The LiDAR teacher: MonoDETR on the completed LiDAR depth map instead of the image. The statistics of frozen batch norms
# and the filters of the frozen stages are those of photographs, so here everything is trained.
_base_ = ['../students/monodetr_kitti.py']
model = dict(
    data_preprocessor=dict(modality='depth'),
    backbone=dict(frozen_stages=-1, norm_cfg=dict(requires_grad=True), norm_eval=False),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.depth_test_pipeline))
test_dataloader = val_dataloader

# nuScenes for detectors seen from above, at the size of BEVDet and BEVDepth on ResNet-50: 256x704 pictures of six cameras,
# the LiDAR frame of the key-frame, +-51.2 m. `mono-distill prepare nuscenes --root data/nuscenes` makes the info files; the
# environment variables NUSCENES_ROOT and NUSCENES_VERSION (v1.0-mini) name another folder and version.
#
# A detector takes its pipelines from here, train_dataloader = dict(dataset=dict(pipeline=_base_.train_4d_pipeline)):
#   train, test                    one frame of pictures, and depth targets (a student alone; these are the default)
#   train_4d, test_4d              with the key-frame before
#   points_train, points_test      ten LiDAR sweeps (a teacher alone)
#   distill, distill_4d            pictures and ten sweeps, augmented by one matrix; distill_test, distill_4d_test
#   stxd, stxd_4d                  besides, the sweeps of the key-frame before
#   camera_train, camera_train_4d, camera_stxd, camera_stxd_4d
#                                  those without depth targets, for students without use for them (BEVDet, BEVFormer)
data_root = '{{$NUSCENES_ROOT:data/nuscenes}}'
version = '{{$NUSCENES_VERSION:v1.0-trainval}}'
# The order of CenterPoint's tasks, which both sides of a distillation must share.
classes = (
    'car', 'truck', 'construction_vehicle', 'bus', 'trailer', 'barrier', 'motorcycle', 'bicycle', 'pedestrian',
    'traffic_cone',
)  # fmt: skip
bev_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
image_size = (256, 704)

pictures = dict(type='mono_distill.LoadMultiViewImages', num_frames=1)
pictures_4d = dict(type='mono_distill.LoadMultiViewImages', num_frames=2)
scan = dict(type='mono_distill.LoadLidarSweeps', num_sweeps=0)
sweeps = dict(type='mono_distill.LoadLidarSweeps', num_sweeps=9)
# Each in its own frame: what the teacher's map looked like when it drove there.
past_sweeps = dict(type='mono_distill.LoadLidarSweeps', num_sweeps=9, num_past=1, past_frame='own')
annotations = dict(type='LoadAnnotations3D', with_bbox_3d=True, with_label_3d=True)

# Factors relative to 0.44, with which 900x1600 covers the input: U(0.386, 0.55) of the full size, as published.
image_aug = [
    dict(
        type='mono_distill.MultiViewImageAug',
        size=image_size,
        resize=(0.386 / 0.44, 0.55 / 0.44),
        rotate=(-5.4, 5.4),
        flip=True,
        training=True,
    ),
    dict(type='mono_distill.LidarDepthTargets', downsample=16, depth_range=(2.0, 58.0)),
]
world_aug = dict(type='mono_distill.BEVGlobalAug', rotate=(-22.5, 22.5), scale=(0.95, 1.05), flip_x=0.5, flip_y=0.5)
filters = [
    dict(type='PointsRangeFilter', point_cloud_range=bev_range),
    dict(type='ObjectRangeFilter', point_cloud_range=bev_range),
    dict(type='ObjectNameFilter', classes=classes),
]
pack = dict(type='mono_distill.PackBEVInputs')
pack_pictures = dict(type='mono_distill.PackBEVInputs', with_points=False)
image_test = [dict(type='mono_distill.MultiViewImageAug', size=image_size), pack]

train_pipeline = [pictures, scan, annotations, *image_aug, world_aug, *filters, pack_pictures]
train_4d_pipeline = [pictures_4d, scan, annotations, *image_aug, world_aug, *filters, pack_pictures]
test_pipeline = [pictures, *image_test]
test_4d_pipeline = [pictures_4d, *image_test]
points_train_pipeline = [sweeps, annotations, world_aug, *filters, dict(type='PointShuffle'), pack]
points_test_pipeline = [sweeps, filters[0], pack]
distill_pipeline = [pictures, sweeps, annotations, *image_aug, world_aug, *filters, pack]
distill_4d_pipeline = [pictures_4d, sweeps, annotations, *image_aug, world_aug, *filters, pack]
distill_test_pipeline = [pictures, sweeps, image_test[0], filters[0], pack]
distill_4d_test_pipeline = [pictures_4d, sweeps, image_test[0], filters[0], pack]
stxd_pipeline = [pictures, past_sweeps, annotations, *image_aug, world_aug, *filters, pack]
stxd_4d_pipeline = [pictures_4d, past_sweeps, annotations, *image_aug, world_aug, *filters, pack]
camera_train_pipeline = [pictures, annotations, image_aug[0], world_aug, *filters[1:], pack_pictures]
camera_train_4d_pipeline = [pictures_4d, annotations, image_aug[0], world_aug, *filters[1:], pack_pictures]
camera_stxd_pipeline = [pictures, past_sweeps, annotations, image_aug[0], world_aug, *filters, pack]
camera_stxd_4d_pipeline = [pictures_4d, past_sweeps, annotations, image_aug[0], world_aug, *filters, pack]

# 64 is the published total batch, on 8 GPUs with 8 samples each.
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mono_distill.NuScenesBEVDataset',
        data_root=data_root,
        ann_file='nuscenes_infos_train.pkl',
        pipeline=train_pipeline,
        metainfo=dict(classes=classes),
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mono_distill.NuScenesBEVDataset',
        data_root=data_root,
        ann_file='nuscenes_infos_val.pkl',
        pipeline=test_pipeline,
        metainfo=dict(classes=classes),
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mono_distill.NuScenesDetectionMetric', data_root=data_root, version=version)
test_evaluator = val_evaluator

# nuScenes for detectors seen from above in small, for a CPU: 128x352 pictures, fewer sweeps. Made for the embedded world
# (`mono-distill synth nuscenes --out data/nuscenes`, then `mono-distill prepare nuscenes --root data/nuscenes`); the mini
# split of nuScenes, or all of it, fits as well. The environment variables NUSCENES_ROOT and NUSCENES_VERSION name another
# folder and version.
#
# The pipelines are those of nus_bev_256x704.py.
data_root = '{{$NUSCENES_ROOT:data/nuscenes}}'
version = '{{$NUSCENES_VERSION:v1.0-mini}}'
# The order of CenterPoint's tasks, which both sides of a distillation must share.
classes = (
    'car', 'truck', 'construction_vehicle', 'bus', 'trailer', 'barrier', 'motorcycle', 'bicycle', 'pedestrian',
    'traffic_cone',
)  # fmt: skip
bev_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
image_size = (128, 352)

pictures = dict(type='mono_distill.LoadMultiViewImages', num_frames=1)
pictures_4d = dict(type='mono_distill.LoadMultiViewImages', num_frames=2)
scan = dict(type='mono_distill.LoadLidarSweeps', num_sweeps=0)
sweeps = dict(type='mono_distill.LoadLidarSweeps', num_sweeps=4)
# Each in its own frame: what the teacher's map looked like when it drove there.
past_sweeps = dict(type='mono_distill.LoadLidarSweeps', num_sweeps=4, num_past=1, past_frame='own')
annotations = dict(type='LoadAnnotations3D', with_bbox_3d=True, with_label_3d=True)

# Factors relative to the one with which the pictures cover the input, whatever size they are stored in.
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

train_dataloader = dict(
    batch_size=2,
    num_workers=1,
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
    batch_size=4,
    num_workers=0,
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

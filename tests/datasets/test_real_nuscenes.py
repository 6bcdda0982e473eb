"""A real key-frame of nuScenes in mmdet3d's v2 infos goes through the data set and its transforms."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.registry import init_default_scope

from mono_distill.datasets import NuScenesBEVDataset
from mono_distill.datasets.nuscenes import NUSCENES_CLASSES
from mono_distill.utils.errors import DataError

pytestmark = pytest.mark.real

INFOS = 'infos/mmdet3d_demo_infos.pkl'


@pytest.fixture(scope='module')
def sample(nuscenes_real):
    init_default_scope('mmdet3d')
    pipeline = [
        dict(type='mono_distill.LoadMultiViewImages'),
        dict(type='mono_distill.LoadLidarSweeps', num_sweeps=9),
        dict(type='LoadAnnotations3D', with_bbox_3d=True, with_label_3d=True),
    ]
    return NuScenesBEVDataset(INFOS, str(nuscenes_real), pipeline=pipeline)[0]


def test_its_boxes_are_those_that_were_measured(sample):
    """Of 69 three have neither LiDAR nor radar points, and one belongs to no class."""
    assert sample['gt_bboxes_3d'].tensor.shape == (65, 9)
    counts = np.bincount(sample['gt_labels_3d'], minlength=10)
    assert dict(zip(NUSCENES_CLASSES, counts.tolist(), strict=True)) == {
        'car': 8,
        'truck': 2,
        'construction_vehicle': 1,
        'bus': 1,
        'trailer': 0,
        'barrier': 22,
        'motorcycle': 0,
        'bicycle': 1,
        'pedestrian': 27,
        'traffic_cone': 3,
    }


def test_its_sensors_are_read(sample):
    assert [image.shape for image in sample['img'][0]] == [(900, 1600, 3)] * 6
    assert sample['points'].tensor.shape == (34688, 5)
    assert (sample['points'].tensor[:, 4] == 0).all()


def test_boxes_hold_the_points_that_the_annotation_counted(sample):
    """Boxes and points share their frame, and the bottom's centre is the origin."""
    boxes, points = sample['gt_bboxes_3d'], sample['points'].tensor[:, :3]
    counts = sample['ann_info']['num_lidar_pts']
    offset = points.numpy()[None] - boxes.gravity_center.numpy()[:, None]
    cos, sin = np.cos(boxes.yaw.numpy())[:, None], np.sin(boxes.yaw.numpy())[:, None]
    local = np.stack(
        [cos * offset[..., 0] + sin * offset[..., 1], cos * offset[..., 1] - sin * offset[..., 0]], axis=-1
    )
    local = np.concatenate([local, offset[..., 2:]], axis=-1)
    inside = (np.abs(local) <= boxes.dims.numpy()[:, None] / 2 + 0.02).all(axis=-1).sum(axis=1)
    many = counts >= 5
    assert many.sum() > 20
    assert np.median(np.abs(inside - counts)[many] / counts[many]) < 0.1


def test_every_box_is_seen_where_a_camera_looks(sample):
    """Centres lie in at least one picture: six cameras look all around."""
    centers = np.c_[sample['gt_bboxes_3d'].gravity_center.numpy(), np.ones(65)]
    seen = np.zeros(65, dtype=bool)
    for number in range(6):
        u, v, depth, _ = sample['cam2img'][0, number] @ sample['lidar2cam'][number] @ centers.T
        seen |= (depth > 1) & (u > 0) & (u < 1600 * depth) & (v > 0) & (v < 900 * depth)
    assert seen.all()


def test_the_box_of_the_parked_truck_surrounds_it_in_the_picture(sample):
    """It stands ahead on the left; the edges were read off the picture of the front camera."""
    trucks = np.flatnonzero(sample['gt_labels_3d'] == NUSCENES_CLASSES.index('truck'))
    nearest = min(trucks, key=lambda i: float(sample['gt_bboxes_3d'].bev[i, :2].norm()))
    corners = np.c_[sample['gt_bboxes_3d'].corners[nearest].numpy(), np.ones(8)]
    u, v, depth, _ = sample['cam2img'][0, 0] @ sample['lidar2cam'][0] @ corners.T
    assert (depth > 0).all()
    assert [(u / depth).min(), (u / depth).max()] == pytest.approx([65, 620], abs=15)
    assert [(v / depth).min(), (v / depth).max()] == pytest.approx([185, 655], abs=15)


def test_several_frames_need_infos_with_links(nuscenes_real):
    with pytest.raises(DataError, match='infos of mmdet3d have no links'):
        NuScenesBEVDataset(
            INFOS, str(nuscenes_real), pipeline=[dict(type='mono_distill.LoadMultiViewImages', num_frames=2)]
        )

"""Annotated boxes in the LiDAR frame."""

import numpy as np
import pytest
import torch
from kitti_bev_samples import lidar2cam
from mmdet3d.structures import CameraInstance3DBoxes

from mono_distill.datasets import LoadKittiBEVAnnotations
from mono_distill.datasets.transforms.annotations import no_objects
from mono_distill.datasets.transforms.kitti_bev_annotations import lidar_boxes
from mono_distill.utils.errors import DataError


def test_a_car_ahead_that_drives_away_has_yaw_0():
    # Camera: 10 m ahead, 1 m to the right, bottom 1.5 m below; heading along z is ry = -pi/2.
    axes = np.array([[0, -1.0, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    boxes = lidar_boxes(np.array([[1.0, 1.5, 10.0, 4.0, 1.4, 1.6, -np.pi / 2]]), axes)
    expected = torch.tensor([[10.0, -1.0, -1.5, 4.0, 1.6, 1.4, 0.0]])
    torch.testing.assert_close(boxes.tensor, expected, atol=1e-5, rtol=0)


def test_boxes_stand_where_the_camera_sees_them():
    box = np.array([[2.0, 1.6, 15.0, 4.0, 1.5, 1.6, 0.7]])
    bottom = lidar_boxes(box, lidar2cam()).bottom_center.double().numpy()
    np.testing.assert_allclose(bottom @ lidar2cam()[:3, :3].T + lidar2cam()[:3, 3], box[:, :3], atol=1e-5)


def test_corners_agree_up_to_the_tilt_of_the_two_frames():
    box = np.array([[2.0, 1.6, 15.0, 4.0, 1.5, 1.6, 0.7]], dtype=np.float32)
    corners = lidar_boxes(box, lidar2cam()).corners[0].double().numpy() @ lidar2cam()[:3, :3].T + lidar2cam()[:3, 3]
    wanted = CameraInstance3DBoxes(box).corners[0].double().numpy()
    distance = np.linalg.norm(corners[:, None] - wanted[None], axis=2).min(1)
    assert distance.max() < 0.05


def test_a_frame_without_annotations_is_an_error_or_marked():
    frame = {'sample_id': '000007', 'lidar2cam': lidar2cam()}
    with pytest.raises(DataError, match='000007'):
        LoadKittiBEVAnnotations()(dict(frame))
    sample = LoadKittiBEVAnnotations(allow_unlabelled=True)(dict(frame))
    assert sample['labelled'] is False
    assert len(sample['gt_bboxes_3d']) == len(sample['gt_labels_3d']) == 0


def test_a_frame_without_objects_is_labelled():
    sample = LoadKittiBEVAnnotations()({'lidar2cam': lidar2cam(), 'ann_info': no_objects()})
    assert sample['labelled'] is True

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet3d.structures import Box3DMode, LiDARInstance3DBoxes
from multi_view_samples import boxes, lidar2cam, sample

from mono_distill.datasets.transforms import BEVGlobalAug, MultiViewImageAug, PackBEVInputs
from mono_distill.utils.errors import ShapeError
from mono_distill.visualization.lidar_geometry import (
    CameraView,
    as_array,
    boxes_seen_from_above,
    lidar_box_corners,
    points_seen_from_above,
)


def test_corners_are_those_of_mmdet3d():
    ours, theirs = lidar_box_corners(boxes()), boxes().corners.double().numpy()
    gaps = np.linalg.norm(ours[:, :, None] - theirs[:, None], axis=3)
    assert gaps.min(axis=2).max() < 1e-5
    assert (np.sort(gaps.argmin(axis=2), axis=1) == np.arange(8)).all()


def test_the_front_face_is_where_the_object_heads():
    corners = lidar_box_corners([[10.0, 5.0, -1.0, 4.0, 2.0, 1.5, np.pi / 2]])[0]
    np.testing.assert_allclose(corners[[0, 1, 4, 5], 1], 7.0)  # yaw of 90 degrees: along y
    np.testing.assert_allclose(corners[:4, 2], -1.0)  # the first four are the bottom
    np.testing.assert_allclose(corners[4:, 2], 0.5)


def test_boxes_seen_from_above_are_camera_boxes_of_a_level_camera():
    level = torch.tensor([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    converted = boxes().convert_to(Box3DMode.CAM, level, correct_yaw=True).tensor[:, :7].double().numpy()
    ours = boxes_seen_from_above(boxes())
    np.testing.assert_allclose(ours[:, :6], converted[:, :6], atol=1e-5)
    np.testing.assert_allclose(np.cos(ours[:, 6] - converted[:, 6]), 1, atol=1e-5)


def test_points_and_boxes_seen_from_above_agree():
    bottom = boxes().tensor[:, :3]
    np.testing.assert_allclose(points_seen_from_above(bottom), boxes_seen_from_above(boxes())[:, :3], atol=1e-6)


def test_a_camera_undoes_both_augmentations():
    """A box's middle is seen where the unaugmented middle is, moved by the matrix of the picture."""
    np.random.seed(2)
    results = MultiViewImageAug((64, 128), (0.9, 1.2), rotate=(-5, 5), flip=True, training=True)(sample(size=(90, 160)))
    before = boxes().gravity_center.double().numpy()
    packed = PackBEVInputs()(BEVGlobalAug(translate_std=1.0)(results))['data_samples']
    seen = 0
    for camera in range(6):
        view = CameraView(packed.metainfo, camera)
        corners = view.corners(packed.gt_instances_3d.bboxes_3d)
        in_camera = before @ lidar2cam((0, -55, 55, 180, 110, -110)[camera])[:3, :3].T
        in_camera += lidar2cam((0, -55, 55, 180, 110, -110)[camera])[:3, 3]
        # The scale of the world stays in nothing: corners are divided by it on the way back.
        np.testing.assert_allclose(corners.mean(axis=1), in_camera, atol=1e-3)
        pixels = in_camera @ view.cam2img[:, :3].T + view.cam2img[:, 3]
        inside = (in_camera[:, 2] > 1) & (pixels[:, 0] > 0) & (pixels[:, 0] < 128 * pixels[:, 2])
        inside &= (pixels[:, 1] > 0) & (pixels[:, 1] < 64 * pixels[:, 2])
        assert (view.sees(corners, (64, 128)) >= inside).all()
        seen += inside.sum()
    assert seen >= 3


def test_boxes_behind_or_beside_a_camera_are_not_seen():
    view = CameraView(sample(size=(90, 160)), 0)
    ahead, behind, beside = ([x, y, -1.0, 4.0, 2.0, 1.5, 0.0] for x, y in ((0, 20), (0, -20), (40, 10)))
    assert view.sees(view.corners([ahead, behind, beside]), (90, 160)).tolist() == [True, False, False]


def test_no_boxes_have_no_corners():
    assert lidar_box_corners(LiDARInstance3DBoxes(torch.zeros(0, 9), box_dim=9)).shape == (0, 8, 3)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: boxes_seen_from_above(np.zeros((2, 6))), r'LiDAR boxes must be \(N, 7 or more\)'),
        (lambda: points_seen_from_above(np.zeros(3)), r'points must be \(N, 3 or more\)'),
        (lambda: CameraView({'cam2img': 0}, 0), 'has no lidar2cam; pack it with'),
    ],
)
def test_other_shapes_are_refused(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


def test_tensors_arrays_and_boxes_become_arrays():
    for value in (boxes(), boxes().tensor, boxes().tensor.numpy(), torch.zeros(2, requires_grad=True)):
        assert as_array(value).dtype == np.float64

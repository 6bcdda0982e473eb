from __future__ import annotations

import numpy as np
import pytest

from mono_distill.datasets.kitti.projection import project_cam_to_img
from mono_distill.datasets.transforms.geometry import (
    affine_boxes,
    affine_cam2img,
    affine_points,
    crop_affine,
    flip_boxes,
    flip_cam2img,
    wrap_angle,
)

CAM2IMG = np.array([[721.5, 0.3, 609.6, 44.9], [0.2, 721.5, 172.9, 0.22], [0, 0, 1, 0.0027]])


@pytest.fixture
def points() -> np.ndarray:
    return np.random.RandomState(0).uniform([-20, -2, 2], [20, 2, 60], (50, 3))


def test_without_scale_and_shift_the_picture_fills_the_width():
    matrix = crop_affine((1242, 375), (1280, 384))
    corners = affine_points(np.array([[0.0, 0.0], [1242.0, 375.0], [621.0, 187.5]]), matrix)
    np.testing.assert_allclose(corners[:, 0], [0, 1280, 640], atol=1e-9)
    # The factor is the width's: the picture is cropped by 1.24 input rows at top and bottom.
    np.testing.assert_allclose(corners[:, 1], [-1.2367, 385.2367, 192], atol=1e-3)


def test_the_window_of_a_crop_is_mapped_to_the_input():
    matrix = crop_affine((1242, 375), (1280, 384), 1.32, (74.52, -15.0))
    window = np.array([[-124.2, 172.5], [1515.24, 172.5]])  # coord_range of the golden crop, middle row
    np.testing.assert_allclose(affine_points(window, matrix), [[0, 192], [1280, 192]], atol=1e-9)


def test_projections_follow_an_affine_map_exactly(points):
    matrix = crop_affine((1242, 375), (1280, 384), 0.7, (100.0, -30.0))
    expected = affine_points(project_cam_to_img(points, CAM2IMG)[0], matrix)
    actual, _ = project_cam_to_img(points, affine_cam2img(CAM2IMG, matrix))
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_projections_of_mirrored_points_are_mirrored(points):
    expected = project_cam_to_img(points, CAM2IMG)[0]
    expected[:, 0] = 1242 - expected[:, 0]
    actual, _ = project_cam_to_img(points * [-1, 1, 1], flip_cam2img(CAM2IMG, 1242))
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def test_flipping_a_camera_changes_the_principal_point_and_the_offset_only():
    camera = np.array([[721.5, 0, 609.6, 44.9], [0, 721.5, 172.9, 0.22], [0, 0, 1, 0.0027]])
    expected = [[721.5, 0, 632.4, -44.9], [0, 721.5, 172.9, 0.22], [0, 0, 1, 0.0027]]
    np.testing.assert_allclose(flip_cam2img(camera, 1242), expected)


def test_flipping_a_camera_twice_is_the_identity():
    np.testing.assert_allclose(flip_cam2img(flip_cam2img(CAM2IMG, 1242), 1242), CAM2IMG, atol=1e-9)


def test_the_camera_is_not_changed_in_place():
    before = CAM2IMG.copy()
    flip_cam2img(CAM2IMG, 1242)
    affine_cam2img(CAM2IMG, np.diag([2.0, 2.0, 1.0]))
    np.testing.assert_array_equal(CAM2IMG, before)


def test_boxes_keep_the_order_of_their_corners():
    boxes = np.array([[10, 20, 30, 60]], dtype=np.float32)
    np.testing.assert_array_equal(flip_boxes(boxes, 100), [[70, 20, 90, 60]])
    np.testing.assert_array_equal(
        affine_boxes(boxes, np.array([[2.0, 0, 1], [0, 2, -50], [0, 0, 1]])), [[21, -10, 61, 70]]
    )


def test_maps_keep_float32():
    boxes = np.zeros((2, 4), np.float32)
    assert affine_boxes(boxes, np.eye(3)).dtype == np.float32
    assert flip_boxes(boxes, 9).dtype == np.float32


def test_no_boxes_give_no_boxes():
    assert affine_boxes(np.zeros((0, 4), np.float32), np.eye(3)).shape == (0, 4)


@pytest.mark.parametrize(
    ('angle', 'expected'), [(0.5, 0.5), (4.0, 4.0 - 2 * np.pi), (-4.0, 2 * np.pi - 4.0), (9 * np.pi, -np.pi)]
)
def test_angles_are_wrapped(angle, expected):
    np.testing.assert_allclose(wrap_angle(np.array([angle])), [expected])

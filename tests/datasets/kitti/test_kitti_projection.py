from __future__ import annotations

import numpy as np
import pytest
from kitti_files import CAM2IMG

from mono_distill.datasets.kitti.projection import (
    pixel_indices,
    project_cam_to_img,
    transform_points,
    unproject_img_to_cam,
)
from mono_distill.utils.errors import ShapeError


def test_division_is_by_z_and_not_by_the_homogeneous_coordinate():
    pixels, depth = project_cam_to_img(np.array([[7.0, 1.0, 5.0]]), CAM2IMG)
    assert pixels[0] == pytest.approx([(100 * 7 + 80 * 5 + 4.5) / 5, (100 * 1 + 24 * 5 + 0.2) / 5])
    assert depth[0] == 5.0


def test_difference_to_mmdet3d_is_the_published_one():
    from mmdet3d.structures import points_cam2img

    # First matrix of KITTI; a point 5 m away projected to u = 2060 moves by 1.13 pixels.
    cam2img = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
    point = np.array([[10.0, 0.5, 5.0]])
    ours, _ = project_cam_to_img(point, cam2img)
    theirs = points_cam2img(point, cam2img)
    assert ours[0, 0] == pytest.approx(2061.6, abs=0.1)
    # mmdet3d computes in float32.
    assert ours[0, 0] - theirs[0, 0] == pytest.approx(ours[0, 0] * 0.002745884 / 5.002745884, abs=1e-3)


def test_points_behind_the_camera_have_no_pixel():
    pixels, depth = project_cam_to_img(np.array([[0.0, 0.0, -3.0], [0.0, 0.0, 0.0]]), CAM2IMG)
    assert np.isnan(pixels).all()
    assert depth.tolist() == [-3.0, 0.0]


def test_no_points_give_no_pixels():
    pixels, depth = project_cam_to_img(np.zeros((0, 3)), CAM2IMG)
    assert pixels.shape == (0, 2)
    assert depth.shape == (0,)


def test_unprojection_inverts_projection():
    points = np.random.default_rng(0).uniform([-9, -2, 1], [9, 2, 60], (100, 3))
    np.testing.assert_allclose(unproject_img_to_cam(*project_cam_to_img(points, CAM2IMG), CAM2IMG), points, atol=1e-9)


def test_pixel_centres_are_integers_and_borders_belong_to_the_image():
    pixels = np.array([[-0.5, 0.0], [-0.51, 0.0], [2.49, 1.49], [2.5, 0.0], [np.nan, 0.0]])
    inside, index = pixel_indices(pixels, (2, 3))
    assert inside.tolist() == [True, False, True, False, False]
    assert index.tolist() == [[0, 0], [2, 1]]


def test_transform_applies_rotation_then_translation():
    matrix = np.array([[0.0, -1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 2.0], [0.0, 0.0, 1.0, 3.0]])
    assert transform_points(np.array([[5.0, 0.0, 0.0]]), matrix).tolist() == [[1.0, 7.0, 3.0]]


@pytest.mark.parametrize(
    ('points', 'matrix', 'message'),
    [(np.zeros((4, 2)), np.eye(4), r'\(N, 3\), got \(4, 2\)'), (np.zeros((4, 3)), np.eye(3), r'got \(3, 3\)')],
)
def test_wrong_shapes_are_named(points, matrix, message):
    with pytest.raises(ShapeError, match=message):
        project_cam_to_img(points, matrix)


def test_unprojection_refuses_unequal_lengths():
    with pytest.raises(ShapeError, match='depth'):
        unproject_img_to_cam(np.zeros((3, 2)), np.zeros(2), CAM2IMG)

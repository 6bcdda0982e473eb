from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes

from mono_distill.utils.errors import ShapeError
from mono_distill.visualization.box_geometry import EDGES, FRONT_CROSS, box_array, box_corners, project_segments

CAM2IMG = np.array([[700.0, 0, 600, 45], [0, 700, 180, 0.2], [0, 0, 1, 0.003]])
BOXES = np.random.RandomState(0).uniform([-8, 0, 5, 3, 1, 1, -3], [8, 2, 60, 5, 2, 2, 3], (20, 7)).astype(np.float32)


def test_corners_are_those_of_mmdet3d():
    ours = box_corners(BOXES)
    theirs = CameraInstance3DBoxes(BOXES).corners.numpy()
    for box, other in zip(ours, theirs, strict=True):
        distance = np.linalg.norm(box[:, None] - other[None], axis=-1)
        assert distance.min(axis=1).max() < 1e-4
        assert sorted(distance.argmin(axis=1)) == list(range(8))


def test_the_front_is_where_the_object_heads():
    # A rotation of 0 heads to +x, one of pi / 2 away from +z towards the camera (KITTI development kit).
    corners = box_corners([[0, 0, 10, 4, 2, 1, 0], [0, 0, 10, 4, 2, 1, np.pi / 2]])
    front = corners[:, np.unique(FRONT_CROSS)].mean(axis=1)
    np.testing.assert_allclose(front, [[2, -1, 10], [0, -1, 8]], atol=1e-9)


def test_edges_are_the_twelve_shortest_connections():
    corners = box_corners([[0, 0, 10, 4, 2, 1, 0.4]])[0]
    lengths = np.linalg.norm(corners[EDGES[:, 0]] - corners[EDGES[:, 1]], axis=1)
    np.testing.assert_allclose(sorted(lengths), [1] * 4 + [2] * 4 + [4] * 4)


@pytest.mark.parametrize('boxes', [[], np.zeros((0, 7)), CameraInstance3DBoxes(torch.zeros(0, 7))])
def test_no_boxes_have_no_corners(boxes):
    assert box_corners(boxes).shape == (0, 8, 3)


def test_rows_of_another_length_are_refused():
    with pytest.raises(ShapeError, match=r'boxes must be \(N, 7\).*got \(2, 6\)'):
        box_array(np.zeros((2, 6)))


def test_visible_segments_are_projected_by_dividing_by_z():
    segment = np.array([[[1.0, 0.5, 10.0], [2.0, 0.5, 20.0]]])
    pixels, visible = project_segments(segment, CAM2IMG)
    assert visible.all()
    np.testing.assert_allclose(pixels[0], [[674.5, 215.02], [672.25, 197.51]])


def test_a_segment_through_the_camera_plane_is_cut_there():
    segment = np.array([[[1.0, 0.0, 4.0], [1.0, 0.0, -4.0]]])
    pixels, visible = project_segments(segment, CAM2IMG, near=0.5)
    assert visible.all()
    np.testing.assert_allclose(pixels[0, 1], [(700 + 300 + 45) / 0.5, (90 + 0.2) / 0.5])
    backwards, _ = project_segments(segment[:, ::-1], CAM2IMG, near=0.5)
    np.testing.assert_allclose(backwards[:, ::-1], pixels)


def test_segments_behind_the_camera_are_invisible():
    segment = np.array([[[1.0, 0.0, -4.0], [1.0, 0.0, 0.05]], [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    pixels, visible = project_segments(segment, CAM2IMG)
    assert not visible.any()
    assert np.isfinite(pixels).all()

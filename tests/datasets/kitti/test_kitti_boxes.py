from __future__ import annotations

import numpy as np
import pytest

from mono_distill.datasets.kitti.boxes import points_in_boxes
from mono_distill.utils.errors import ShapeError

# x, y_bottom, z, l, h, w, ry
BOX = np.array([[1.0, 1.6, 10.0, 4.0, 1.5, 2.0, 0.6]])


def test_points_agree_with_mmdet3d_boxes():
    from mmdet3d.structures import CameraInstance3DBoxes

    points = np.random.default_rng(0).uniform([-2, -0.5, 7], [4, 2.5, 13], (4000, 3))
    corners = CameraInstance3DBoxes(BOX).corners[0].numpy().astype(np.float64)
    axes = [corners[a] - corners[b] for a, b in ((1, 0), (3, 0), (4, 0))]
    inside = np.ones(len(points), dtype=bool)
    for axis in axes:
        share = (points - corners[0]) @ axis / (axis @ axis)
        inside &= (share >= 0) & (share <= 1)
    assert 300 < inside.sum() < 3000
    # The corners are float32: points within a hair of a face may differ.
    assert (points_in_boxes(points, BOX)[0] != inside).sum() <= 1


def test_location_is_the_centre_of_the_bottom():
    above, below = np.array([[1.0, 1.5, 10.0]]), np.array([[1.0, 1.7, 10.0]])
    assert points_in_boxes(above, BOX).all()
    assert not points_in_boxes(below, BOX).any()


def test_no_boxes_and_no_points_are_fine():
    assert points_in_boxes(np.zeros((5, 3)), np.zeros((0, 7))).shape == (0, 5)
    assert points_in_boxes(np.zeros((0, 3)), BOX).shape == (1, 0)


@pytest.mark.parametrize(('points', 'boxes'), [(np.zeros((5, 4)), BOX), (np.zeros((5, 3)), np.zeros((1, 6)))])
def test_wrong_shapes_are_named(points, boxes):
    with pytest.raises(ShapeError, match='must be'):
        points_in_boxes(points, boxes)

from __future__ import annotations

import numpy as np
import pytest

from mono_distill.datasets.nuscenes.poses import as_matrix, invert_rigid, past2current, pose_of


def at(x, y, degrees=0.0):
    yaw = np.radians(degrees) / 2
    return pose_of({'translation': [x, y, 0], 'rotation': [np.cos(yaw), 0, 0, np.sin(yaw)]})


def test_a_quarter_turn_maps_forward_to_left():
    np.testing.assert_allclose(at(1, 2, 90) @ [1, 0, 0, 1], [1, 3, 0, 1], atol=1e-12)


def test_the_inverse_undoes_a_rotation_rounded_to_float32():
    rounded = at(3, -2, 37).astype(np.float32)
    np.testing.assert_allclose(invert_rigid(rounded) @ rounded, np.eye(4), atol=1e-14)


def test_intrinsics_become_four_by_four():
    full = as_matrix(np.full((3, 3), 2.0, np.float32))
    assert full.dtype == np.float64
    np.testing.assert_array_equal(full, [[2, 2, 2, 0], [2, 2, 2, 0], [2, 2, 2, 0], [0, 0, 0, 1]])
    with pytest.raises(ValueError, match='expected a 3x3 or 4x4 matrix'):
        as_matrix(np.zeros((3, 4)))


def test_a_point_keeps_its_place_in_the_world():
    """The car drove 10 m east and turned left; the LiDAR sits 1 m ahead of its middle."""
    mount = at(1, 0)
    past = {'ego2global': at(0, 0), 'lidar_points': {'lidar2ego': mount}}
    current = {'ego2global': at(10, 0, 90), 'lidar_points': {'lidar2ego': mount}}
    # 20 m ahead of the old LiDAR is x = 21 in the world: 11 m to the right of the car now, 1 m behind its LiDAR.
    np.testing.assert_allclose(past2current(past, current) @ [20, 0, 0, 1], [-1, -11, 0, 1], atol=1e-12)

"""Annotated boxes go to the LiDAR frame and come back as the benchmark compares them."""

from __future__ import annotations

import numpy as np
import pytest
from pyquaternion import Quaternion

from mono_distill.datasets.nuscenes.boxes import box_in_lidar, velocity_in_lidar
from mono_distill.datasets.nuscenes.poses import pose_of

# Leans as nuScenes' LiDAR does, on a car that stands on a slope.
LEANING = pose_of({'translation': [600, 1600, 2], 'rotation': [0.707796, -0.006492, 0.030646, -0.706286]})


def annotation(yaw):
    return {
        'translation': [610.0, 1590.0, 1.0],
        'size': [1.9, 4.5, 1.6],
        'rotation': Quaternion(axis=[0, 0, 1], radians=yaw).elements.tolist(),
    }


def test_an_upright_lidar_turns_the_box_and_swaps_width_and_length():
    upright = pose_of({'translation': [10, 0, 0], 'rotation': [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]})
    box = box_in_lidar({'translation': [10, 5, 1], 'size': [2, 4, 1.5], 'rotation': [1, 0, 0, 0]}, upright)
    np.testing.assert_allclose(box, [5, 0, 1, 4, 2, 1.5, -np.pi / 2], atol=1e-6)


@pytest.mark.parametrize('yaw', [-3.0, -1.2, 0.0, 0.4, 2.9])
def test_the_way_back_of_the_evaluation_is_exact(yaw):
    box = box_in_lidar(annotation(yaw), LEANING)
    heading = Quaternion(matrix=LEANING[:3, :3], rtol=1e-5, atol=1e-7) * Quaternion(axis=[0, 0, 1], radians=box[6])
    from nuscenes.eval.common.utils import quaternion_yaw

    assert quaternion_yaw(heading) == pytest.approx(yaw, abs=1e-6)
    np.testing.assert_allclose(LEANING[:3, :3] @ box[:3] + LEANING[:3, 3], [610, 1590, 1], atol=1e-4)


def test_the_yaw_differs_from_the_one_seen_along_the_lidars_axis_by_less_than_half_the_squared_lean():
    for yaw in np.linspace(-3, 3, 13):
        seen = Quaternion(matrix=LEANING[:3, :3], rtol=1e-5, atol=1e-7).inverse * Quaternion(
            annotation(yaw)['rotation']
        )
        difference = box_in_lidar(annotation(yaw), LEANING)[6] - seen.yaw_pitch_roll[0]
        lean = np.arccos(LEANING[2, 2])
        assert abs((difference + np.pi) % (2 * np.pi) - np.pi) <= lean**2 / 2 + 1e-6


def test_the_velocity_comes_back_and_an_unknown_one_stays_unknown():
    velocity = velocity_in_lidar(np.array([3.0, -4.0, 0.2]), LEANING)
    np.testing.assert_allclose((LEANING[:3, :3] @ [*velocity, 0])[:2], [3, -4], atol=1e-5)
    assert np.isnan(velocity_in_lidar(np.full(3, np.nan), LEANING)).all()

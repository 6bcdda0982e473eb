from __future__ import annotations

import numpy as np
import pytest

from mono_distill.synthetic.nuscenes.rig import CAMERAS, CHANNELS, LIDAR, image_shape, scene_rig

# Where the cameras of nuScenes look, degrees from straight ahead to the left.
YAWS = {
    'CAM_FRONT': 0,
    'CAM_FRONT_RIGHT': -55,
    'CAM_BACK_RIGHT': -110,
    'CAM_BACK': 180,
    'CAM_BACK_LEFT': 110,
    'CAM_FRONT_LEFT': 55,
}


@pytest.fixture(scope='module')
def rig():
    return scene_rig(0, 0, 0.5)


def test_a_car_has_six_cameras_and_a_lidar(rig):
    assert tuple(rig) == CHANNELS == (*CAMERAS, LIDAR)


@pytest.mark.parametrize(('channel', 'yaw'), YAWS.items())
def test_cameras_look_all_around(rig, channel, yaw):
    forward, down = rig[channel].sensor2ego[:3, 2], rig[channel].sensor2ego[:3, 1]
    difference = np.rad2deg(np.arctan2(forward[1], forward[0])) - yaw
    assert abs((difference + 180) % 360 - 180) < 3
    assert down[2] < -0.99


def test_the_lidar_looks_to_the_right_from_the_roof(rig):
    lidar = rig[LIDAR].sensor2ego
    np.testing.assert_allclose(lidar[:3, 3], [0.94, 0, 1.84], atol=0.03)
    np.testing.assert_allclose(lidar[:3, :3] @ [0, 1, 0], [1, 0, 0], atol=0.05)
    assert rig[LIDAR].cam2img is None


def test_poses_are_rotations(rig):
    for mount in rig.values():
        turn = mount.sensor2ego[:3, :3]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)


def test_intrinsics_shrink_with_the_image(rig):
    for channel in CAMERAS:
        full = scene_rig(0, 0, 1.0)[channel].cam2img
        np.testing.assert_allclose(rig[channel].cam2img[:2], full[:2] / 2)
        np.testing.assert_array_equal(full[2], [0, 0, 1])
    assert image_shape(1.0) == (900, 1600)
    assert image_shape(0.125) == (112, 200)


def test_the_back_camera_sees_widest(rig):
    focal = {channel: rig[channel].cam2img[0, 0] for channel in CAMERAS}
    assert focal['CAM_BACK'] == pytest.approx(809 / 2, rel=0.01)
    assert focal['CAM_FRONT'] == pytest.approx(1266 / 2, rel=0.01)


def test_scenes_and_seeds_have_calibrations_of_their_own():
    first, *others = (scene_rig(seed, index, 0.5) for seed, index in ((0, 0), (0, 1), (1, 0)))
    for other in others:
        for channel in CHANNELS:
            shift = np.abs(first[channel].sensor2ego - other[channel].sensor2ego)[:3, 3].max()
            assert 0 < shift < 0.05


def test_numbers_are_those_of_a_real_car():
    """The LiDAR-to-camera matrix of the sample that the numbers are from, as MMDetection3D stores it."""
    from pyquaternion import Quaternion

    numbers = CAMERAS['CAM_FRONT']
    cam2ego = Quaternion(numbers.rotation).rotation_matrix
    expected = [[0.005685, -0.005637, 0.999968], [-0.999983, -0.000837, 0.00568], [0.000805, -0.999984, -0.005641]]
    np.testing.assert_allclose(cam2ego, expected, atol=2e-6)

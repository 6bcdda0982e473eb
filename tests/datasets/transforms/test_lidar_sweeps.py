"""LiDAR sweeps in one frame: what stands still must be in one place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet3d.datasets.transforms import LoadPointsFromMultiSweeps
from mmdet3d.structures import LiDARPoints
from pyquaternion import Quaternion

from mono_distill.datasets import LoadLidarSweeps, NuScenesBEVDataset
from mono_distill.datasets.nuscenes.poses import past2current
from mono_distill.datasets.transforms.lidar_sweeps import read_sweep
from mono_distill.utils.errors import ConfigError, DataError

POLES = np.array([[12.0, 3.0], [4.0, -15.0], [-9.0, 8.0], [20.0, -6.0]])
SPEED, TURN, CLIMB = 10.0, 0.5, 0.02


def lidar_pose(seconds):
    """Return LiDAR to global on a car that drives a left bend uphill."""
    yaw = TURN * seconds
    pose = np.eye(4)
    pitch = Quaternion(axis=[0, 1, 0], radians=-CLIMB * 10 * seconds)
    pose[:3, :3] = (Quaternion(axis=[0, 0, 1], radians=yaw) * pitch).rotation_matrix
    pose[:3, 3] = SPEED * np.sin(yaw) / TURN, SPEED * (1 - np.cos(yaw)) / TURN, 1.8 + CLIMB * SPEED * seconds
    return pose


def scan(pose):
    """Return (n, 5) of a plane and four poles that stand still, as seen from a pose."""
    grid = np.stack(np.meshgrid(np.linspace(-20, 20, 9), np.linspace(-20, 20, 9)), axis=-1).reshape(-1, 2)
    plane = np.concatenate([grid, np.zeros((len(grid), 1))], axis=1)
    heights = np.linspace(0.2, 3, 8)
    poles = np.array([[x, y, z] for x, y in POLES for z in heights])
    points = np.concatenate([plane, poles])
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    kind = np.r_[np.zeros(len(plane)), np.repeat(np.arange(1, len(POLES) + 1), len(heights))]
    return np.concatenate([local, kind[:, None], np.zeros((len(local), 1))], axis=1).astype(np.float32)


@pytest.fixture
def turning(tmp_path):
    """A key-frame with ten sweeps before it in a bend."""
    now = 1.0
    scans, poses = [], [lidar_pose(now - 0.05 * step) for step in range(11)]
    for number, pose in enumerate(poses):
        scans.append(tmp_path / f'{number}.bin')
        scans[-1].write_bytes(scan(pose).tobytes())
    return {
        'token': 'bend',
        'timestamp': now,
        'lidar_path': str(scans[0]),
        'num_pts_feats': 5,
        'lidar_sweeps': [
            {
                'lidar_path': str(scans[step]),
                'lidar2sensor': np.linalg.inv(poses[step]) @ poses[0],
                'timestamp': now - 0.05 * step,
            }
            for step in range(1, 11)
        ],
    }


def spread(points):
    """Return how far the sweeps' points of the poles and of the plane are from where they are now, metres."""
    now = scan(lidar_pose(1.0))
    current = points.reshape(-1, len(now), 5)
    assert (current[:, :, 3] == now[:, 3]).all()
    distance = np.linalg.norm(current[..., :3] - now[:, :3], axis=-1)
    return distance[:, now[:, 3] > 0].max(), distance[:, now[:, 3] == 0].max()


def test_what_stands_still_is_in_one_place_over_ten_sweeps_in_a_bend(turning):
    points = LoadLidarSweeps(num_sweeps=10, remove_close=0)(turning)['points']
    assert len(points) == 11 * len(scan(lidar_pose(1.0)))
    poles, plane = spread(points.tensor.numpy())
    assert max(poles, plane) < 1e-4


def test_mmdet3ds_accumulation_fails_the_same_test(turning):
    """Its transform is R^T p - t; the test above would notice should it be corrected."""
    turning['lidar_sweeps'] = [
        {
            'lidar_points': {'lidar_path': s['lidar_path'], 'lidar2sensor': s['lidar2sensor']},
            'timestamp': s['timestamp'],
        }
        for s in turning['lidar_sweeps']
    ]
    turning['points'] = LiDARPoints(torch.from_numpy(read_sweep(turning['lidar_path']).copy()), points_dim=5)
    points = LoadPointsFromMultiSweeps(sweeps_num=10, use_dim=[0, 1, 2, 3, 4], test_mode=True)(turning)['points']
    poles, plane = spread(points.tensor.numpy())
    assert min(poles, plane) > 0.5
    # The known size of the error: |(I - R^T) t| of the farthest sweep.
    farthest = turning['lidar_sweeps'][-1]['lidar_points']['lidar2sensor']
    expected = np.linalg.norm((np.eye(3) - farthest[:3, :3].T) @ farthest[:3, 3])
    assert poles == pytest.approx(expected, abs=1e-3)


def test_time_is_zero_for_the_keyframe_and_grows_into_the_past(turning):
    points = LoadLidarSweeps(num_sweeps=3)(turning)['points'].tensor
    times = torch.unique(points[:, 4])
    assert times[0] == 0
    torch.testing.assert_close(times, torch.tensor([0.0, 0.05, 0.10, 0.15]))
    own = read_sweep(turning['lidar_path'])
    np.testing.assert_array_equal(points[points[:, 4] == 0].numpy()[:, :4], own[:, :4])


def test_the_cars_own_points_are_left_out_of_sweeps_only(tmp_path, turning):
    near = np.array([[0.5, -0.9, 0, 1, 0], [0.5, 1.1, 0, 2, 0], [-1.0, 0.0, 0, 3, 0]], dtype=np.float32)
    for path in (turning['lidar_path'], turning['lidar_sweeps'][0]['lidar_path']):
        Path(path).write_bytes(near.tobytes())
    points = LoadLidarSweeps(num_sweeps=1)(turning)['points'].tensor
    assert points[:, 3].tolist() == [1, 2, 3, 2, 3]
    points = LoadLidarSweeps(num_sweeps=1, remove_close=0)(turning)['points'].tensor
    assert points[:, 3].tolist() == [1, 2, 3, 1, 2, 3]


def test_a_scenes_start_has_the_sweeps_that_there_are(turning):
    turning['lidar_sweeps'] = turning['lidar_sweeps'][:2]
    assert len(torch.unique(LoadLidarSweeps(num_sweeps=9)(turning)['points'].tensor[:, 4])) == 3
    assert len(torch.unique(LoadLidarSweeps(num_sweeps=0)(turning)['points'].tensor[:, 4])) == 1


@pytest.fixture
def sample(tiny_nuscenes):
    def read(index, num_past=2):
        dataset = NuScenesBEVDataset('nuscenes_infos_train.pkl', str(tiny_nuscenes), num_past=num_past)
        return dataset.get_data_info(index)

    return read


def test_past_clouds_are_those_of_the_earlier_keyframes(sample):
    results = LoadLidarSweeps(num_sweeps=2, num_past=2)(sample(2))
    assert results['past_exists'].tolist() == [True, True]
    for steps, cloud in enumerate(results['past_points'], start=1):
        alone = LoadLidarSweeps(num_sweeps=2)(sample(2 - steps))['points']
        torch.testing.assert_close(cloud.tensor, alone.tensor, rtol=0, atol=0)


def test_past_clouds_move_into_the_current_frame_if_asked(sample):
    own = LoadLidarSweeps(num_sweeps=1, num_past=1)(sample(2))['past_points'][0].tensor.numpy()
    info = sample(2)
    moved = LoadLidarSweeps(num_sweeps=1, num_past=1, past_frame='current')(info)['past_points'][0].tensor.numpy()
    transform = past2current(info['past'][0], info)
    np.testing.assert_allclose(moved[:, :3], own[:, :3] @ transform[:3, :3].T + transform[:3, 3], atol=1e-4)
    np.testing.assert_array_equal(moved[:, 3:], own[:, 3:])


def test_the_nearest_past_cloud_moved_is_the_current_clouds_tenth_sweep(sample):
    """Two ways to the same scan: the poses of key-frames, and the infos' sweeps."""
    loader = LoadLidarSweeps(num_sweeps=10, num_past=1, past_frame='current', remove_close=0)
    results = loader(sample(2))
    points, past = results['points'].tensor, results['past_points'][0].tensor
    tenth, own = points[points[:, 4] > 0.475], past[past[:, 4] == 0]
    torch.testing.assert_close(tenth[:, :4], own[:, :4], rtol=0, atol=1e-3)


def test_a_past_before_the_scenes_start_repeats_the_current_cloud(sample):
    results = LoadLidarSweeps(num_sweeps=1, num_past=2)(sample(1))
    assert results['past_exists'].tolist() == [True, False]
    torch.testing.assert_close(results['past_points'][1].tensor, results['points'].tensor, rtol=0, atol=0)
    assert results['past_points'][1].tensor.data_ptr() != results['points'].tensor.data_ptr()


def test_without_past_there_are_no_such_keys(sample):
    assert not {'past_points', 'past_exists'} & set(LoadLidarSweeps(num_sweeps=0)(sample(1)))


def test_a_data_set_that_hands_along_too_few_keyframes_is_told_so(sample):
    with pytest.raises(
        ConfigError, match='needs 3 earlier key-frames, and the data set hands along 2; give it num_past=3'
    ):
        LoadLidarSweeps(num_past=3)(sample(2))


def test_an_absent_sweep_is_named_with_the_command_to_run(turning, tmp_path):
    (tmp_path / '2.bin').unlink()
    with pytest.raises(
        DataError, match=r'a LiDAR sweep of key-frame bend is missing: .*2\.bin.*mono-distill prepare nus'
    ):
        LoadLidarSweeps(num_sweeps=2)(turning)
    assert len(LoadLidarSweeps(num_sweeps=1)(turning)['points'])


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (
            np.zeros((7, 4), '<f4').tobytes(),
            r'112 bytes, which is no number of points with 5 columns .*infos name the wrong',
        ),
        (np.full((5, 4), 0.3, '<f4').tobytes(), 'the fifth column is no ring number'),
        (np.full((2, 5), np.nan, '<f4').tobytes(), '2 points with values that are not finite'),
    ],
)
def test_a_file_that_is_no_scan_of_five_columns_is_refused(turning, tmp_path, content, message):
    (tmp_path / '0.bin').write_bytes(content)
    with pytest.raises(DataError, match=f'the LiDAR scan of key-frame bend, .*{message}'):
        LoadLidarSweeps()(turning)


@pytest.mark.parametrize('options', [{'num_sweeps': -1}, {'num_past': -1}, {'remove_close': -1}, {'past_frame': 'ego'}])
def test_impossible_arguments_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        LoadLidarSweeps(**options)


def test_it_says_what_it_is():
    expected = "LoadLidarSweeps(num_sweeps=9, num_past=1, past_frame='own', remove_close=1.0)"
    assert repr(LoadLidarSweeps(num_past=1)) == expected

"""The infos of the embedded world against the unmodified devkit."""

from __future__ import annotations

import numpy as np
import pytest
from mmdet3d.datasets import NuScenesDataset
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud
from pyquaternion import Quaternion
from tiny_nuscenes import KEYFRAMES, SCENES, VERSION, load_infos

from mono_distill.datasets.nuscenes import CAMERAS, NUSCENES_CLASSES
from mono_distill.datasets.nuscenes.infos import CATEGORIES, INFO_VERSION


@pytest.fixture(scope='module')
def nusc(tiny_nuscenes):
    return NuScenes(VERSION, str(tiny_nuscenes), verbose=False)


@pytest.fixture(scope='module')
def infos(tiny_nuscenes):
    return load_infos(tiny_nuscenes, 'train')['data_list']


def test_the_file_says_what_it_is(tiny_nuscenes):
    metainfo = load_infos(tiny_nuscenes, 'val')['metainfo']
    assert metainfo['dataset'] == 'nuscenes'
    assert metainfo['version'] == VERSION
    assert metainfo['info_version'] == INFO_VERSION
    assert metainfo['classes'] == NUSCENES_CLASSES
    assert metainfo['categories'] == {name: i for i, name in enumerate(NuScenesDataset.METAINFO['classes'])}


def test_keyframes_are_linked_within_their_scene(infos):
    assert [info['frame_idx'] for info in infos] == list(range(KEYFRAMES))
    assert [info['sample_idx'] for info in infos] == list(range(KEYFRAMES))
    assert [info['prev_idx'] for info in infos] == [-1, 0, 1]
    assert [info['next_idx'] for info in infos] == [1, 2, -1]
    assert [info['prev_token'] for info in infos] == ['', infos[0]['token'], infos[1]['token']]
    assert {info['scene_name'] for info in infos} == {SCENES['train']}
    assert len({info['scene_token'] for info in infos}) == 1


def test_cameras_are_in_order_and_nothing_large_is_stored(infos):
    for info in infos:
        assert tuple(info['images']) == CAMERAS
        assert 'cam_instances' not in info
        assert info['images']['CAM_BACK']['lidar2cam'].dtype == np.float32
        assert info['ego2global'].dtype == np.float64


def test_a_camera_is_where_the_devkit_puts_it(infos, nusc):
    """A point of the LiDAR goes to the camera through the poses of both moments."""
    info = infos[1]
    sample = nusc.get('sample', info['token'])
    for channel, camera in info['images'].items():
        record = nusc.get('sample_data', sample['data'][channel])
        assert record['filename'].endswith(camera['img_path'])
        assert (camera['height'], camera['width']) == (record['height'], record['width'])
        point = info['ego2global'] @ info['lidar_points']['lidar2ego'] @ [3, 20, -1, 1]
        for pose, token in (
            ('ego_pose', record['ego_pose_token']),
            ('calibrated_sensor', record['calibrated_sensor_token']),
        ):
            pose = nusc.get(pose, token)
            point[:3] = Quaternion(pose['rotation']).inverse.rotation_matrix @ (point[:3] - pose['translation'])
        np.testing.assert_allclose(camera['lidar2cam'] @ [3, 20, -1, 1], point, atol=1e-4)
        np.testing.assert_allclose(camera['cam2global'], camera['ego2global'] @ camera['cam2ego'], atol=1e-9)


def test_sweeps_are_the_devkits_and_lie_where_it_puts_them(infos, nusc, tiny_nuscenes):
    info = infos[1]
    assert len(info['lidar_sweeps']) == 10
    assert info['lidar_sweeps'][9]['lidar_points']['lidar_path'].startswith('samples/LIDAR_TOP/')
    sample = nusc.get('sample', info['token'])
    merged, times = LidarPointCloud.from_file_multisweep(
        nusc, sample, 'LIDAR_TOP', 'LIDAR_TOP', nsweeps=4, min_distance=0
    )
    own = LidarPointCloud.from_file(str(tiny_nuscenes / 'samples/LIDAR_TOP' / info['lidar_points']['lidar_path']))
    clouds, ages = [own.points[:3]], [np.zeros(own.nbr_points())]
    for sweep in info['lidar_sweeps'][:3]:
        cloud = LidarPointCloud.from_file(str(tiny_nuscenes / sweep['lidar_points']['lidar_path']))
        cloud.transform(np.linalg.inv(sweep['lidar_points']['lidar2sensor']))
        clouds.append(cloud.points[:3])
        ages.append(np.full(cloud.nbr_points(), info['timestamp'] - sweep['timestamp']))
    np.testing.assert_allclose(np.concatenate(clouds, axis=1), merged.points[:3], atol=1e-3)
    np.testing.assert_allclose(np.concatenate(ages), times[0], atol=1e-5)


def test_boxes_are_those_of_the_devkit(infos, nusc):
    info = infos[2]
    sample = nusc.get('sample', info['token'])
    _, boxes, _ = nusc.get_sample_data(sample['data']['LIDAR_TOP'])
    assert len(info['instances']) == len(boxes) > 20
    names = {number: name for name, number in CATEGORIES.items()}
    for instance, box in zip(info['instances'], boxes, strict=True):
        annotation = nusc.get('sample_annotation', box.token)
        np.testing.assert_allclose(instance['bbox_3d'][:3], box.center, atol=1e-4)
        np.testing.assert_allclose(instance['bbox_3d'][3:6], box.wlh[[1, 0, 2]], rtol=1e-6)
        turn = instance['bbox_3d'][6] - box.orientation.yaw_pitch_roll[0]
        assert abs((turn + np.pi) % (2 * np.pi) - np.pi) < 2e-3
        assert names[instance['bbox_label_3d']].split('_')[0] in annotation['category_name'].replace(
            'trafficcone', 'traffic'
        )
        assert instance['num_lidar_pts'] == annotation['num_lidar_pts']
        speed = np.linalg.norm(nusc.box_velocity(box.token)[:2])
        np.testing.assert_allclose(np.linalg.norm(instance['velocity']), speed, rtol=2e-3, atol=1e-4)


def test_mmdet3ds_own_dataset_reads_the_file(tiny_nuscenes, infos):
    dataset = NuScenesDataset(
        data_root=str(tiny_nuscenes),
        ann_file='nuscenes_infos_train.pkl',
        data_prefix=dict(
            pts='samples/LIDAR_TOP', sweeps='sweeps/LIDAR_TOP', **{cam: f'samples/{cam}' for cam in CAMERAS}
        ),
        modality=dict(use_camera=True, use_lidar=True),
        use_valid_flag=True,
    )
    info = dataset.get_data_info(1)
    classes = dataset.metainfo['classes']
    valid = [item for item in infos[1]['instances'] if item['bbox_3d_isvalid']]
    names = {number: name for name, number in CATEGORIES.items()}
    assert [classes[label] for label in info['ann_info']['gt_labels_3d']] == [names[i['bbox_label_3d']] for i in valid]
    assert all((tiny_nuscenes / sweep['lidar_points']['lidar_path']).is_file() for sweep in info['lidar_sweeps'])

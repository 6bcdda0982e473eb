"""Pictures of six cameras over several key-frames, placed in the current LiDAR frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from nuscenes.nuscenes import NuScenes
from nuscenes.utils.geometry_utils import view_points
from tiny_nuscenes import IMAGE_SHAPE, VERSION, load_infos

from mono_distill.datasets import LoadMultiViewImages, NuScenesBEVDataset
from mono_distill.datasets.nuscenes import CAMERAS
from mono_distill.datasets.nuscenes.poses import lidar2global
from mono_distill.utils.errors import ConfigError, DataError


@pytest.fixture
def sample(tiny_nuscenes):
    """Key-frame 2 of the scene, 0 being its first."""

    def read(index=2, num_past=2):
        dataset = NuScenesBEVDataset('nuscenes_infos_train.pkl', str(tiny_nuscenes), num_past=num_past)
        return dataset.get_data_info(index)

    return read


@pytest.fixture
def infos(tiny_nuscenes):
    return load_infos(tiny_nuscenes, 'train')['data_list']


def test_pictures_are_bgr_and_in_the_order_of_the_cameras(sample):
    results = LoadMultiViewImages()(sample())
    assert results['cameras'] == CAMERAS
    assert [len(frame) for frame in results['img']] == [6]
    for image, path in zip(results['img'][0], results['img_path'], strict=True):
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, cv2.imread(path))
    assert results['img_shape'] == results['ori_shape'] == IMAGE_SHAPE


def test_matrices_have_a_row_for_every_frame_and_camera(sample):
    results = LoadMultiViewImages(num_frames=3)(sample())
    for key in ('cam2img', 'cam2lidar', 'img_aug_matrix'):
        assert results[key].shape == (3, 6, 4, 4)
        assert results[key].dtype == np.float64
    np.testing.assert_array_equal(results['img_aug_matrix'], np.broadcast_to(np.eye(4), (3, 6, 4, 4)))
    np.testing.assert_array_equal(results['lidar_aug_matrix'], np.eye(4))
    np.testing.assert_allclose(
        results['cam2lidar'][0] @ results['lidar2cam'], np.tile(np.eye(4), (6, 1, 1)), atol=1e-12
    )


def test_earlier_cameras_are_where_their_own_poses_say(sample, infos):
    results = LoadMultiViewImages(num_frames=3)(sample())
    global2current = np.linalg.inv(lidar2global(infos[2]))
    for frame, info in enumerate([infos[2], infos[1], infos[0]]):
        for camera, name in enumerate(CAMERAS):
            expected = global2current @ info['images'][name]['cam2global']
            np.testing.assert_allclose(results['cam2lidar'][frame, camera], expected, atol=1e-4)
    # The car moved, so this is no comparison of a thing with itself.
    assert np.linalg.norm(results['cam2lidar'][2, 0, :3, 3] - results['cam2lidar'][0, 0, :3, 3]) > 2


def test_box_centres_project_to_the_pixels_of_the_devkit(sample, tiny_nuscenes, infos):
    nusc = NuScenes(VERSION, str(tiny_nuscenes), verbose=False)
    results = LoadMultiViewImages()(sample())
    lidar = nusc.get('sample', infos[2]['token'])['data']['LIDAR_TOP']
    centers = {box.token: box.center for box in nusc.get_sample_data(lidar)[1]}
    compared = 0
    for number, name in enumerate(CAMERAS):
        _, boxes, intrinsic = nusc.get_sample_data(nusc.get('sample', infos[2]['token'])['data'][name])
        for box in boxes:
            u, v, depth, _ = results['cam2img'][0, number] @ results['lidar2cam'][number] @ [*centers[box.token], 1]
            expected = view_points(box.center[:, None], intrinsic, normalize=True)[:2, 0]
            np.testing.assert_allclose([u / depth, v / depth], expected, atol=0.02)
            compared += 1
    assert compared > 20


def test_a_keyframe_before_the_scenes_start_repeats_the_current_one(sample):
    results = LoadMultiViewImages(num_frames=3)(sample(index=1))
    assert results['frame_exists'].tolist() == [True, True, False]
    assert not np.array_equal(results['img'][1][0], results['img'][0][0])
    np.testing.assert_array_equal(results['img'][2][0], results['img'][0][0])
    assert results['img'][2][0] is not results['img'][0][0]
    np.testing.assert_array_equal(results['cam2lidar'][2], results['cam2lidar'][0])
    np.testing.assert_array_equal(results['cam2img'][2], results['cam2img'][0])


def test_a_data_set_that_hands_along_too_few_keyframes_is_told_so(sample):
    with pytest.raises(
        ConfigError, match='needs 2 earlier key-frames, and the data set hands along 1; give it num_past=2'
    ):
        LoadMultiViewImages(num_frames=3)(sample(num_past=1))


def test_a_missing_camera_is_named(sample):
    results = sample()
    del results['images']['CAM_BACK']
    with pytest.raises(DataError, match=rf'{results["token"]} has no camera CAM_BACK, only CAM_FRONT, .*cameras=\['):
        LoadMultiViewImages()(results)


def test_a_camera_that_an_earlier_keyframe_lacks_is_named(sample):
    results = sample()
    del results['past'][0]['images']['CAM_FRONT_LEFT']
    with pytest.raises(DataError, match=f'{results["past"][0]["token"]} has no camera CAM_FRONT_LEFT'):
        LoadMultiViewImages(num_frames=2)(results)


def test_cameras_can_be_chosen(sample):
    results = sample()
    del results['images']['CAM_BACK']
    results = LoadMultiViewImages(num_frames=2, cameras=['CAM_BACK_LEFT', 'CAM_FRONT'])(results)
    assert results['cameras'] == ('CAM_BACK_LEFT', 'CAM_FRONT')
    assert results['cam2lidar'].shape == (2, 2, 4, 4)
    assert results['lidar2cam'].shape == (2, 4, 4)
    assert 'CAM_BACK_LEFT' in results['img_path'][0]


@pytest.mark.parametrize(
    ('frame', 'content', 'message'),
    [
        (0, None, r'CAM_BACK: cannot read image .*a.jpg \(No such file'),
        (1, None, r'CAM_BACK: cannot read image .*a.jpg \(No such file'),
        (0, b'', r'a.jpg is damaged \(0 bytes do not decode\)'),
        (1, b'no picture', r'a.jpg is damaged \(10 bytes do not decode\)'),
    ],
)
def test_a_missing_or_damaged_picture_is_named(sample, tmp_path, frame, content, message):
    results = sample()
    path = tmp_path / 'a.jpg'
    if content is not None:
        path.write_bytes(content)
    [results, *results['past']][frame]['images']['CAM_BACK']['img_path'] = str(path)
    with pytest.raises(DataError, match=message):
        LoadMultiViewImages(num_frames=2)(results)


def test_a_picture_of_another_size_than_the_infos_say_is_refused(sample):
    results = sample()
    results['images']['CAM_FRONT']['width'] = 1600
    with pytest.raises(DataError, match='is 320x180, the infos say 1600x180'):
        LoadMultiViewImages()(results)


@pytest.mark.parametrize(('options', 'message'), [({'num_frames': 0}, 'num_frames'), ({'cameras': []}, 'cameras')])
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        LoadMultiViewImages(**options)


def test_it_says_what_it_is():
    assert repr(LoadMultiViewImages(2)) == 'LoadMultiViewImages(num_frames=2, cameras=None)'

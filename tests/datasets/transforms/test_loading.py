from __future__ import annotations

import cv2
import numpy as np
import pytest

from mono_distill.datasets.kitti.depth_maps import write_depth_png
from mono_distill.datasets.transforms import LoadDepthMap, LoadMonoImage
from mono_distill.utils.errors import DataError


@pytest.fixture
def frame(tmp_path):
    picture = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'image.png'), picture)
    depth = np.zeros((20, 30), np.float32)
    depth[5, 7] = 12.5
    write_depth_png(tmp_path / 'depth.png', depth)
    results = dict(
        sample_id='000042',
        img_path=str(tmp_path / 'image.png'),
        depth_map_path=str(tmp_path / 'depth.png'),
        ori_shape=(20, 30),
    )
    return results, picture, depth


def _truncate(path):
    with open(path, 'rb+') as file:
        file.truncate(file.seek(0, 2) // 2)


def test_a_picture_is_read_as_bgr(frame):
    results, picture, _ = frame
    results = LoadMonoImage()(results)
    np.testing.assert_array_equal(results['img'], picture)
    assert results['img_shape'] == results['ori_shape'] == (20, 30)


def test_a_depth_map_is_read_in_metres(frame):
    results, _, depth = frame
    results = LoadDepthMap()(LoadMonoImage()(results))
    np.testing.assert_array_equal(results['depth_map'], depth)
    assert results['depth_map'].dtype == np.float32


def test_a_missing_picture_names_file_frame_and_cure(frame):
    results = dict(frame[0], img_path='nowhere/1.png')
    with pytest.raises(DataError, match=r'frame 000042: cannot read image nowhere/1.png .*check data_root'):
        LoadMonoImage()(results)


def test_a_damaged_picture_names_file_frame_and_cure(frame):
    _truncate(frame[0]['img_path'])
    with pytest.raises(DataError, match=r'frame 000042: image .*image.png is damaged.*mono-distill prepare kitti'):
        LoadMonoImage()(frame[0])


def test_an_empty_picture_is_an_error(frame):
    open(frame[0]['img_path'], 'wb').close()
    with pytest.raises(DataError, match='0 bytes do not decode'):
        LoadMonoImage()(frame[0])


def test_a_picture_of_another_size_than_the_infos_say_is_an_error(frame):
    with pytest.raises(DataError, match='is 30x20, the infos say 31x20; run `mono-distill prepare kitti`'):
        LoadMonoImage()(dict(frame[0], ori_shape=(20, 31)))


def test_infos_without_depth_maps_name_the_command(frame):
    with pytest.raises(DataError, match='frame 000042: the infos name no depth map; run `mono-distill prepare kitti`'):
        LoadDepthMap()(dict(frame[0], depth_map_path=None))


def test_a_missing_depth_map_names_file_frame_and_command(frame):
    with pytest.raises(DataError, match='frame 000042: no depth map at nowhere.png; `mono-distill prepare kitti`'):
        LoadDepthMap()(dict(frame[0], depth_map_path='nowhere.png'))


def test_a_damaged_depth_map_names_file_and_frame(frame):
    _truncate(frame[0]['depth_map_path'])
    with pytest.raises(DataError, match=r'frame 000042: .*depth.png does not decode'):
        LoadDepthMap()(frame[0])


def test_a_depth_map_of_another_size_than_the_picture_is_an_error(frame):
    results = dict(frame[0], img=np.zeros((21, 30, 3), np.uint8))
    with pytest.raises(DataError, match='depth.png is 30x20, its image 30x21'):
        LoadDepthMap()(results)

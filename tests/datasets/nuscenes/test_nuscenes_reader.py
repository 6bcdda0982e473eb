"""Info files: ours, mmdet3d's, and those that are neither."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from tiny_nuscenes import load_infos

from mono_distill.datasets.nuscenes.infos import CATEGORIES
from mono_distill.datasets.nuscenes.reader import InfoStore, normalized, past_positions, read_info_file, resolve_path
from mono_distill.datasets.nuscenes_bev import DATA_PREFIX
from mono_distill.utils.errors import DataError


def write(path, content):
    path.write_bytes(pickle.dumps(content))
    return str(path)


@pytest.fixture
def content(tiny_nuscenes):
    return load_infos(tiny_nuscenes, 'train')


def test_the_store_returns_fresh_copies(content):
    store = InfoStore(content['data_list'])
    assert [store[i]['token'] for i in range(len(store))] == [info['token'] for info in content['data_list']]
    store[1]['images'].clear()
    assert len(store[1]['images']) == 6


def test_our_file_is_returned_as_it_is(tiny_nuscenes, content):
    metainfo, infos = read_info_file(str(tiny_nuscenes / 'nuscenes_infos_train.pkl'))
    assert metainfo == content['metainfo']
    assert [info['token'] for info in infos] == [info['token'] for info in content['data_list']]


def test_mmdet3ds_file_gets_the_fields_that_its_writer_leaves_out(tmp_path, content):
    """Its writer drops empty lists, and old files have no numbers of the classes."""
    for info in content['data_list']:
        del info['instances']
    path = write(tmp_path / 'a.pkl', {'metainfo': {'version': 'v1.0-mini'}, 'data_list': content['data_list']})
    metainfo, infos = read_info_file(path)
    assert metainfo['categories'] == CATEGORIES
    assert [info['instances'] for info in infos] == [[]] * 3


def test_mmdet3ds_test_split_stays_without_annotations(tmp_path, content):
    del content['data_list'][0]['instances']
    path = write(tmp_path / 'a.pkl', {'metainfo': {'version': 'v1.0-test'}, 'data_list': content['data_list'][:1]})
    assert 'instances' not in read_info_file(path)[1][0]


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ({'infos': [], 'metadata': {}}, 'has the format of mmdet3d 0.x'),
        ([1, 2], 'it has no data_list'),
        ({'metainfo': {}, 'data_list': []}, 'holds no key-frame'),
    ],
)
def test_other_formats_are_named_with_the_command_to_run(tmp_path, value, message):
    with pytest.raises(DataError, match=f'{message}.*mono-distill prepare nuscenes --root data'):
        read_info_file(write(tmp_path / 'a.pkl', value), 'data')


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(DataError, match='a.pkl does not exist; run `mono-distill prepare nuscenes --root DIR`'):
        read_info_file(str(tmp_path / 'a.pkl'))
    (tmp_path / 'a.pkl').write_bytes(b'cut short')
    with pytest.raises(DataError, match='cannot be read'):
        read_info_file(str(tmp_path / 'a.pkl'))


def test_earlier_keyframes_are_followed_to_the_scenes_start(content):
    store = InfoStore(content['data_list'])
    assert past_positions(store, 2, 3, 'a.pkl') == [1, 0, None]
    assert past_positions(store, 0, 2, 'a.pkl') == [None, None]
    assert past_positions(store, 2, 0, 'a.pkl') == []


def test_infos_without_links_are_refused_only_if_links_are_needed(content):
    for info in content['data_list']:
        del info['prev_idx']
    store = InfoStore(content['data_list'])
    assert past_positions(store, 2, 0, 'a.pkl') == []
    with pytest.raises(DataError, match='infos of mmdet3d have no links.*num_frames=1 and num_past=0'):
        past_positions(store, 2, 1, 'a.pkl')


@pytest.mark.parametrize('part', [slice(1, 3), slice(2, 3)])
def test_a_cut_file_does_not_lead_to_wrong_keyframes(content, part):
    store = InfoStore(content['data_list'][part])
    with pytest.raises(DataError, match='is not the key-frame before .*choose samples with indices='):
        past_positions(store, len(store) - 1, 1, 'a.pkl')


def test_another_scene_is_never_the_past(content):
    content['data_list'][0]['scene_token'] = 'another'
    with pytest.raises(DataError, match='position 0 is not the key-frame before'):
        past_positions(InfoStore(content['data_list']), 1, 1, 'a.pkl')


def test_a_sweep_that_is_a_keyframe_lies_among_the_samples():
    assert resolve_path(DATA_PREFIX, 'pts', 'samples/LIDAR_TOP/a.bin') == 'samples/LIDAR_TOP/a.bin'
    assert resolve_path(DATA_PREFIX, 'pts', './data/nuscenes/sweeps/LIDAR_TOP/a.bin') == 'sweeps/LIDAR_TOP/a.bin'
    assert resolve_path(DATA_PREFIX, 'CAM_BACK', 'a.jpg') == 'samples/CAM_BACK/a.jpg'


def test_the_pipeline_gets_whole_paths_and_double_matrices(tiny_nuscenes, content):
    prefix = {channel: str(tiny_nuscenes / folder) for channel, folder in DATA_PREFIX.items()}
    sample = normalized(content['data_list'][1], prefix)
    paths = [sample['lidar_path'], *sample['img_path'], *(sweep['lidar_path'] for sweep in sample['lidar_sweeps'])]
    assert len(paths) == 1 + 6 + 10
    assert all(tiny_nuscenes.joinpath(path).is_file() for path in paths)
    for camera in sample['images'].values():
        assert camera['cam2img'].shape == camera['lidar2cam'].shape == (4, 4)
        assert camera['cam2img'].dtype == np.float64

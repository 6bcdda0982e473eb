"""One command from a nuScenes root to its info files."""

from __future__ import annotations

import json
import pickle
import re
import shutil

import pytest
from tiny_nuscenes import KEYFRAMES, SCENES, VERSION, linked_root, load_infos

from mono_distill.datasets.nuscenes.prepare import prepare_nuscenes, splits_of
from mono_distill.utils.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path, tiny_nuscenes):
    """The data set without its infos, to break."""
    folder = linked_root(tiny_nuscenes, tmp_path / 'nuscenes')
    for path in folder.glob('*.pkl'):
        path.unlink()
    return folder


def rewrite(root, table, change):
    path = root / VERSION / f'{table}.json'
    rows = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps(change(rows)))


def rename_version(root, version):
    shutil.move(root / VERSION, root / version)


def test_each_split_gets_a_file_and_the_report_says_so(root, tmp_path):
    report = prepare_nuscenes(root, out=tmp_path / 'infos')
    assert not list(root.glob('*.pkl'))
    assert report['version'] == VERSION
    assert report['left_out'] == []
    for split, scene in SCENES.items():
        entry = report['splits'][split]
        infos = load_infos(tmp_path / 'infos', split)['data_list']
        assert entry['file'] == str(tmp_path / 'infos' / f'nuscenes_infos_{split}.pkl')
        assert (entry['scenes'], entry['samples']) == (1, KEYFRAMES) == (1, len(infos))
        assert {info['scene_name'] for info in infos} == {scene}
        assert sum(entry['boxes'].values()) == sum(len(info['instances']) for info in infos)


def test_two_runs_write_the_same_bytes(root):
    prepare_nuscenes(root)
    first = (root / 'nuscenes_infos_train.pkl').read_bytes()
    prepare_nuscenes(root)
    assert (root / 'nuscenes_infos_train.pkl').read_bytes() == first


def test_an_unknown_version_name_is_split_like_trainval(root):
    """Scene 0061 is in the full train split and 0103 in the full val split as well."""
    rename_version(root, 'v1.0-mine')
    report = prepare_nuscenes(root)
    assert {split: entry['samples'] for split, entry in report['splits'].items()} == {'train': 3, 'val': 3}
    assert load_infos(root, 'train')['metainfo']['version'] == 'v1.0-mine'


def test_a_scene_of_no_split_is_left_out_and_named(root):
    rewrite(root, 'scene', lambda rows: [row | {'name': row['name'].replace('0103', '9999')} for row in rows])
    report = prepare_nuscenes(root)
    assert report['left_out'] == ['scene-9999']
    assert report['splits']['val']['file'] is None
    assert not (root / 'nuscenes_infos_val.pkl').exists()


def test_no_scene_of_any_split_is_an_error(root):
    rewrite(root, 'scene', lambda rows: [row | {'name': 'mine'} for row in rows])
    with pytest.raises(
        DataError, match=r'no scene of v1.0-mini belongs to its splits \(train, val\), for instance mine'
    ):
        prepare_nuscenes(root)


def test_the_test_split_has_no_annotations(root):
    name = sorted(dict(splits_of('v1.0-test'))['test'])[0]
    rewrite(root, 'scene', lambda rows: [row | {'name': name} for row in rows[:1]])
    rename_version(root, 'v1.0-test')
    report = prepare_nuscenes(root)
    assert list(report['splits']) == ['test']
    infos = pickle.loads((root / 'nuscenes_infos_test.pkl').read_bytes())['data_list']
    assert all('instances' not in info for info in infos)


def test_a_missing_sweep_is_named_and_nothing_is_written(root):
    sweep = sorted((root / 'sweeps/LIDAR_TOP').iterdir())[0]
    sweep.unlink()
    with pytest.raises(
        DataError, match=re.escape(f'1 LiDAR sweep file is missing, namely sweeps/LIDAR_TOP/{sweep.name}. Unpack')
    ):
        prepare_nuscenes(root)
    assert not list(root.glob('*.pkl'))


def test_a_missing_image_is_named(root):
    image = next((root / 'samples/CAM_BACK').iterdir())
    image.unlink()
    with pytest.raises(DataError, match=re.escape(f'1 camera file is missing, namely samples/CAM_BACK/{image.name}')):
        prepare_nuscenes(root)


def test_without_file_checks_the_tables_are_enough(root):
    shutil.rmtree(root / 'sweeps')
    assert prepare_nuscenes(root, check_files=False)['splits']['train']['samples'] == KEYFRAMES


def test_a_keyframe_without_a_camera_is_named(root):
    rewrite(root, 'sample_data', lambda rows: [row for row in rows if '__CAM_FRONT_LEFT__' not in row['filename']])
    with pytest.raises(DataError, match='has no CAM_FRONT_LEFT; sample_data.json'):
        prepare_nuscenes(root)


def test_a_missing_map_is_named(root):
    next((root / 'maps').iterdir()).unlink()
    with pytest.raises(DataError, match=r'maps/\w+\.png does not exist; unpack the archive of the metadata'):
        prepare_nuscenes(root)


def test_a_damaged_table_is_named(root):
    path = root / VERSION / 'sample.json'
    path.unlink()
    path.write_text('[{"token": ')
    with pytest.raises(DataError, match='the tables in .* cannot be read'):
        prepare_nuscenes(root)


def test_a_folder_that_cannot_be_written_is_named(root, tmp_path):
    (tmp_path / 'infos').write_text('a file')
    with pytest.raises((ConfigError, DataError), match='cannot write .*nuscenes_infos_train.pkl'):
        prepare_nuscenes(root, out=tmp_path / 'infos')

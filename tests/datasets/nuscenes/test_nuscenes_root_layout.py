"""What is a nuScenes root, and which of its files are missing."""

from __future__ import annotations

import pytest

from mono_distill.datasets.nuscenes.layout import TABLES, FileCheck, check_root
from mono_distill.utils.errors import ConfigError, DataError


def write_tables(root, version, tables=TABLES):
    (root / version).mkdir(parents=True)
    for name in tables:
        (root / version / f'{name}.json').write_text('[]')


def test_the_only_version_is_found(tmp_path):
    write_tables(tmp_path, 'v1.0-mini')
    (tmp_path / 'samples').mkdir()
    assert check_root(tmp_path) == 'v1.0-mini'


def test_several_versions_must_be_chosen_from(tmp_path):
    write_tables(tmp_path, 'v1.0-mini')
    write_tables(tmp_path, 'v1.0-trainval')
    with pytest.raises(ConfigError, match='holds the versions v1.0-mini, v1.0-trainval; choose one with --version'):
        check_root(tmp_path)
    assert check_root(tmp_path, 'v1.0-trainval') == 'v1.0-trainval'


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ConfigError, match='nowhere is not a folder'):
        check_root(tmp_path / 'nowhere')


def test_a_folder_without_tables_is_no_root(tmp_path):
    (tmp_path / 'training').mkdir()
    with pytest.raises(ConfigError, match=r'is not a nuScenes root.*expected <version>/\*\.json'):
        check_root(tmp_path)


def test_a_misspelt_version_gets_a_hint(tmp_path):
    write_tables(tmp_path, 'v1.0-mini')
    with pytest.raises(ConfigError, match=r"no version 'v1.0_mini': did you mean 'v1.0-mini'\?"):
        check_root(tmp_path, 'v1.0_mini')


def test_missing_tables_are_named(tmp_path):
    write_tables(tmp_path, 'v1.0-mini', [name for name in TABLES if name not in ('ego_pose', 'map')])
    with pytest.raises(DataError, match=r'lacks the tables ego_pose.json, map.json; unpack the metadata archive'):
        check_root(tmp_path)


def test_missing_files_are_counted_by_kind_and_the_first_named(tmp_path):
    (tmp_path / 'samples').mkdir()
    (tmp_path / 'samples' / 'there.bin').touch()
    files = FileCheck(tmp_path)
    files.expect('LiDAR', 'samples/there.bin')
    files.raise_missing()
    for number in range(5):
        files.expect('LiDAR sweep', f'sweeps/{number}.bin')
    files.expect('camera', 'samples/a.jpg')
    with pytest.raises(DataError) as caught:
        files.raise_missing()
    assert '5 LiDAR sweep files are missing, the first are sweeps/0.bin, sweeps/1.bin, sweeps/2.bin;' in str(
        caught.value
    )
    assert '1 camera file is missing, namely samples/a.jpg' in str(caught.value)
    assert '--skip-file-checks' in str(caught.value)


def test_the_check_can_be_left_out(tmp_path):
    checked, unchecked = FileCheck(tmp_path), FileCheck(tmp_path, enabled=False)
    for files in (checked, unchecked):
        files.expect('camera', 'samples/a.jpg')
    with pytest.raises(DataError):
        checked.raise_missing()
    unchecked.raise_missing()

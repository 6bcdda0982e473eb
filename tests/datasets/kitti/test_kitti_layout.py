from __future__ import annotations

import os
import stat

import pytest
from kitti_files import write_folder, write_split

from mono_distill.datasets.kitti.layout import KittiFolder, check_source, open_output, remove_stale_temporaries
from mono_distill.utils.errors import ConfigError, DataError


@pytest.fixture
def source(tmp_path):
    return KittiFolder(write_folder(tmp_path / 'kitti', training=2, testing=1))


def test_frames_are_images_and_labels_named_by_numbers(source):
    training = source.root / 'training'
    (training / 'label_2' / '000005.txt').touch()
    (training / 'image_2' / '._000009.png').touch()
    (training / 'image_2' / '000008.txt').touch()
    assert source.sample_ids('training') == ['000000', '000001', '000005']
    assert source.sample_ids('testing') == ['000000']


def test_missing_subset_has_no_frames(tmp_path):
    assert KittiFolder(tmp_path).sample_ids('training') == []


def test_split_is_read_with_six_digits_and_without_repetitions(source):
    write_split(source.root, 'train', '000001', '7', '', '000001')
    assert source.split_ids('train') == ['000001', '000007']
    assert source.split_ids('val') is None


def test_split_with_something_else_than_numbers_is_refused(source):
    write_split(source.root, 'train', '000001', '000002.png')
    with pytest.raises(DataError, match=r"train\.txt: '000002\.png' is not a frame number"):
        source.split_ids('train')


def test_source_without_frames_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r'expected files like training/image_2/000123\.png'):
        check_source(KittiFolder(tmp_path))
    with pytest.raises(ConfigError, match='is not a folder'):
        check_source(KittiFolder(tmp_path / 'nowhere'))


def test_output_into_the_source_needs_no_links(source):
    assert open_output(source, None) == source
    assert open_output(source, source.root) == source


def test_separate_output_is_a_kitti_root(source, tmp_path):
    write_split(source.root, 'train', '000001')
    output = open_output(source, tmp_path / 'out')
    assert output.sample_ids('training') == source.sample_ids('training')
    assert output.path('testing', 'velodyne', '000000').is_file()
    assert output.split_ids('train') == ['000001']
    # A second run finds its own links.
    assert open_output(source, tmp_path / 'out') == output


def test_output_of_another_source_is_refused(source, tmp_path):
    open_output(source, tmp_path / 'out')
    other = KittiFolder(write_folder(tmp_path / 'other'))
    with pytest.raises(ConfigError, match='exists and is not a link to .*other'):
        open_output(other, tmp_path / 'out')


def test_output_below_a_file_is_refused(source, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match='cannot prepare the output folder'):
        open_output(source, tmp_path / 'file' / 'out')


@pytest.mark.parametrize('below', ['', 'training'])
def test_read_only_source_asks_for_another_output(source, below):
    folder = source.root / below
    mode = folder.stat().st_mode
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        with pytest.raises(ConfigError, match='is read-only; give another folder to write into with --out'):
            open_output(source, None)
    finally:
        folder.chmod(mode)


def test_only_old_temporaries_are_removed(source):
    folder = source.root / 'training' / 'depth_dense'
    folder.mkdir()
    old, new, whole = (folder / name for name in ('.000000.abc.tmp.png', '.000001.abc.tmp.png', '000000.png'))
    for path in (old, new, whole):
        path.touch()
    os.utime(old, (1000, 1000))
    os.utime(whole, (1000, 1000))
    remove_stale_temporaries(source, older_than=2000)
    assert sorted(path.name for path in folder.iterdir()) == ['.000001.abc.tmp.png', '000000.png']

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
from kitti_frames import INFO_FILE, prepare_real_kitti, write_golden_kitti
from mmengine.config import Config

from mono_distill.cli.browse import build_dataset, draw
from mono_distill.cli.main import main
from mono_distill.utils.errors import ConfigError
from mono_distill.visualization import GROUND_TRUTH_COLOR

CONFIG = """
train_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.LoadDepthMap'),
    dict(type='mono_distill.LoadMonoKittiAnnotations'),
    dict(type='mono_distill.MonoRandomFlip', prob=0.5),
    dict(type='mono_distill.MonoRandomCropAffine', size=(320, 96), prob=0.5),
    dict(type='mono_distill.PackMono3DInputs'),
]
test_pipeline = [
    dict(type='mono_distill.LoadMonoImage'),
    dict(type='mono_distill.MonoRandomCropAffine', size=(320, 96)),
    dict(type='mono_distill.PackMono3DInputs'),
]
kitti = dict(type='mono_distill.KittiMonoDataset', data_root='{root}', ann_file='{infos}')
train_dataloader = dict(
    batch_size=2,
    dataset=dict(type='RepeatDataset', times=2, dataset=dict(pipeline=train_pipeline, **kitti)),
)
val_dataloader = dict(batch_size=1, dataset=dict(pipeline=test_pipeline, test_mode=True, **kitti))
model = dict(type='mono_distill.CrossModalDistiller', teachers=dict(), student=dict(type='Anything'), taps=dict())
work_dir = '{root}/work'
"""


@pytest.fixture
def config(tmp_path, golden) -> Path:
    root = write_golden_kitti(tmp_path / 'kitti', str(golden('dataset_md')['label_txt']), copies=3)
    path = tmp_path / 'small.py'
    path.write_text(CONFIG.replace('{root}', str(root)).replace('{infos}', INFO_FILE))
    return path


def _pictures(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: cv2.imread(str(path)) for path in sorted(folder.iterdir())}


def test_one_picture_per_sample_is_written_in_the_order_of_the_data_set(config, tmp_path, capsys):
    assert main(['browse', str(config), '--out', str(tmp_path / 'out'), '--num', '5']) == 0
    names = [f'{index:06d}_{index % 3:06d}.png' for index in range(5)]
    assert list(_pictures(tmp_path / 'out')) == names
    assert '5 pictures of train samples (of 6)' in capsys.readouterr().out


def test_no_more_pictures_than_samples_are_written(config, tmp_path):
    main(['browse', str(config), '--out', str(tmp_path / 'out'), '--num', '99', '--split', 'val'])
    assert len(_pictures(tmp_path / 'out')) == 3


def test_the_same_seed_and_epoch_draw_the_same_pictures(config, tmp_path):
    def draw_with(name, *options):
        main(['browse', str(config), '--out', str(tmp_path / name), '--num', '2', *options])
        return _pictures(tmp_path / name)

    first, again = draw_with('a', '--seed', '4'), draw_with('b', '--seed', '4')
    other, later = draw_with('c', '--seed', '5'), draw_with('d', '--seed', '4', '--epoch', '1')
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert any((first[name] != other[name]).any() for name in first)
    assert any((first[name] != later[name]).any() for name in first)


def test_pictures_go_to_the_work_directory_by_default(config):
    main(['browse', str(config), '--num', '1', '--split', 'val'])
    assert (config.parent / 'kitti/work/browse_val/000000_000000.png').is_file()


def test_validation_samples_show_boxes_although_their_pipeline_loads_none(config):
    dataset = build_dataset(Config.fromfile(config), 'val', seed=0, epoch=0)
    sample = dataset[1]
    assert len(sample['data_samples'].gt_instances_3d.bboxes_3d) == 3
    picture = draw(sample, dataset.metainfo['classes']).astype(int)
    assert (np.abs(picture - GROUND_TRUTH_COLOR) < 60).all(axis=2).any()


def test_the_config_is_not_changed(config):
    loaded = Config.fromfile(config)
    before = copy.deepcopy(loaded.to_dict())
    for split in ('train', 'val'):
        build_dataset(loaded, split, seed=1, epoch=2)[0]
    assert loaded.to_dict() == before


def test_a_missing_dataloader_is_refused():
    with pytest.raises(ConfigError, match='the config has no val_dataloader'):
        build_dataset(Config({}), 'val', seed=0, epoch=0)


def test_other_samples_are_refused_with_what_they_hold():
    with pytest.raises(ConfigError, match=r"draws single-camera samples.*this pipeline gives inputs \['points'\]"):
        draw(dict(inputs=dict(points=0)), None)


def test_a_number_below_one_is_refused(config, capsys):
    assert main(['browse', str(config), '--num', '0']) == 2
    assert '--num must be at least 1, got 0' in capsys.readouterr().err


def test_a_missing_info_file_ends_with_its_cure(config, capsys):
    (config.parent / 'kitti' / INFO_FILE).unlink()
    assert main(['browse', str(config), '--num', '1']) == 2
    assert 'mono-distill prepare kitti --root' in capsys.readouterr().err


@pytest.mark.real
def test_real_frames_are_drawn_with_their_points(config, tmp_path, kitti_real):
    root = prepare_real_kitti(kitti_real, tmp_path / 'real')
    config.write_text(CONFIG.replace('{root}', str(root)).replace('{infos}', INFO_FILE))
    dataset = build_dataset(Config.fromfile(config), 'train', seed=0, epoch=0)
    sample = dataset[1]
    with_points = draw(sample, dataset.metainfo['classes'])
    sample['data_samples'].set_metainfo(dict(lidar_path=None))
    without = draw(sample, dataset.metainfo['classes'])
    changed = (with_points != without).any(axis=2)
    assert changed[:, -400:].sum() > 1000
    assert not changed[:, :960].any()

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from kitti_frames import INFO_FILE, prepare_real_kitti, write_golden_kitti
from mmengine.config import Config
from tiny_nuscenes import load_infos

from mono_distill.apis.inferencer import detector_config
from mono_distill.apis.plain_config import build_detector
from mono_distill.cli.browse import build_dataset, draw
from mono_distill.cli.main import main
from mono_distill.utils.errors import ConfigError
from mono_distill.visualization import GROUND_TRUTH_COLOR, PREDICTION_COLOR

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


NUSCENES = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'datasets' / 'nus_bev_tiny.py'


@pytest.mark.parametrize('split', ['train', 'val'])
def test_multi_view_samples_are_drawn_with_boxes_and_named_by_their_token(split, tiny_nuscenes, tmp_path, monkeypatch):
    monkeypatch.setenv('NUSCENES_ROOT', str(tiny_nuscenes))
    assert main(['browse', str(NUSCENES), '--out', str(tmp_path), '--num', '2', '--split', split]) == 0
    pictures = _pictures(tmp_path)
    tokens = [info['token'] for info in load_infos(tiny_nuscenes, split)['data_list'][:2]]
    assert list(pictures) == [f'{index:06d}_{token}.png' for index, token in enumerate(tokens)]
    for picture in pictures.values():
        assert picture.shape[1] > 3 * 640
        assert (np.abs(picture.astype(int) - GROUND_TRUTH_COLOR) < 60).all(axis=2).any()


@pytest.fixture
def pair(tiny_nuscenes, tmp_path, monkeypatch):
    """A teacher and a student with random weights: name, config and checkpoint of each."""
    monkeypatch.setenv('NUSCENES_ROOT', str(tiny_nuscenes))
    options = []
    for name, config in (('teacher', 'teachers/centerpoint_tiny_nus.py'), ('student', 'students/bevdet_tiny_nus.py')):
        path = NUSCENES.parents[2] / config
        torch.save(build_detector(detector_config(path)).state_dict(), tmp_path / f'{name}.pth')
        options.append([name, str(path), str(tmp_path / f'{name}.pth')])
    return options


def test_teacher_and_student_are_drawn_side_by_side(pair, tmp_path):
    leaf = tmp_path / 'leaf.py'
    leaf.write_text(
        f"_base_ = ['{NUSCENES}']\nval_dataloader = dict(dataset=dict(pipeline=_base_.distill_test_pipeline))\n"
    )
    options = [word for detector in pair for word in ('--detector', *detector)]
    out = ['--out', str(tmp_path / 'out'), '--num', '1', '--split', 'val', '--score-thr', '0']
    assert main(['browse', str(leaf), *options, *out]) == 0
    (picture,) = _pictures(tmp_path / 'out').values()
    side = (picture.shape[1] - 12) // 3
    maps = picture[-side:]
    assert picture.shape[0] > 2 * side  # cameras, three panels from above, two maps
    for left in (0, side + 6):
        assert maps[:, left : left + side].std() > 5
    middle = picture[-2 * side - 30 : -side - 30]
    assert (np.abs(middle[:, side + 6 : 2 * side].astype(int) - (255, 170, 60)) < 60).all(axis=2).any()
    assert (np.abs(middle[:, 2 * side + 12 :].astype(int) - PREDICTION_COLOR) < 60).all(axis=2).any()


def test_a_pipeline_without_points_says_what_the_teacher_lacks(pair, tmp_path, capsys):
    out = ['--out', str(tmp_path / 'out'), '--num', '1', '--split', 'val']
    assert main(['browse', str(NUSCENES), '--detector', *pair[0], *out]) == 2
    assert 'no points among the inputs' in capsys.readouterr().err


def test_two_detectors_of_one_name_are_refused(config, capsys):
    detector = ['--detector', 'a', 'b.py', 'c.pth']
    assert main(['browse', str(config), *detector, *detector]) == 2
    assert "detectors need different names, got ['a', 'a']" in capsys.readouterr().err


def test_single_camera_samples_take_no_detectors(config):
    sample = build_dataset(Config.fromfile(config), 'val', seed=0, epoch=0)[0]
    with pytest.raises(ConfigError, match='--detector draws into multi-view samples only'):
        draw(sample, None, {'teacher': None})


def test_a_nuscenes_pipeline_that_loads_annotations_is_left_alone(tiny_nuscenes, monkeypatch):
    monkeypatch.setenv('NUSCENES_ROOT', str(tiny_nuscenes))
    dataset = build_dataset(Config.fromfile(NUSCENES), 'train', seed=0, epoch=0)
    assert [type(step).__name__ for step in dataset.pipeline.transforms].count('LoadAnnotations3D') == 1


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

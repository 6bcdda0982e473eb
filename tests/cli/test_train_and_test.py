"""The commands that mim runs, from data to a distilled checkpoint that the plain student evaluates."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from tiny_kitti import short, write_prepared_kitti

from mono_distill.cli.main import main

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
STUDENT = CONFIGS / 'students' / 'monodle_tiny_kitti.py'
TEACHER = CONFIGS / 'teachers' / 'monodle_depth_tiny_kitti.py'
MONOSKD = CONFIGS / 'monoskd_tiny_kitti.py'


@pytest.fixture(scope='module')
def workplace(tmp_path_factory):
    """A folder outside the checkout with data, short forms of the three configs, and a trained teacher and student."""
    folder = tmp_path_factory.mktemp('workplace')
    root = write_prepared_kitti(folder / 'kitti')
    for path in (STUDENT, TEACHER, MONOSKD):
        config = short(Config.fromfile(path), root)
        config.train_dataloader.dataset.times = 3
        config.train_cfg.max_epochs = 2
        if 'teachers' in config.model:
            config.model.teachers.depth.config = str(folder / TEACHER.name)
            config.model.teachers.depth.checkpoint = str(folder / 'work' / TEACHER.stem)
            config.load_from = str(folder / 'work' / STUDENT.stem)
        config.dump(folder / path.name)
    for path in (TEACHER, STUDENT):
        assert run(folder, 'train', path) == 0
    return folder


def run(folder, command, path, *options):
    return main([command, str(folder / path.name), '--work-dir', str(folder / 'work' / path.stem), *options])


def checkpoint(folder, path, epoch=2):
    return str(folder / 'work' / path.stem / f'epoch_{epoch}.pth')


def scores(folder):
    """Return the numbers of the newest test run in a work directory."""
    files = sorted(folder.rglob('*.json'), key=lambda path: path.stat().st_mtime)
    return {key: value for key, value in json.loads(files[-1].read_text().splitlines()[-1]).items() if 'KITTI' in key}


@pytest.mark.slow
def test_a_distilled_checkpoint_evaluates_through_the_plain_student_with_identical_numbers(workplace):
    assert run(workplace, 'train', MONOSKD, '--seed', '3') == 0
    log = next((workplace / 'work' / MONOSKD.stem).rglob('*.log')).read_text()
    for shown in ('loss_kd_spearman', 'loss_kd_affinity', 'loss_kd_response', 'kd_ratio', 'teacher_ms', 'eta'):
        assert shown in log
    distilled = checkpoint(workplace, MONOSKD)
    tested = []
    for path, name in ((STUDENT, 'as_student'), (MONOSKD, 'as_distillation')):
        assert main(['test', str(workplace / path.name), distilled, '--work-dir', str(workplace / name)]) == 0
        tested.append(scores(workplace / name))
    assert tested[0] == tested[1]
    assert 'KITTI/Car_3D_AP40_moderate_loose' in tested[0]


@pytest.mark.slow
def test_submission_files_and_pictures_are_written_per_frame(workplace):
    options = ['--format-only', str(workplace / 'submission'), '--show-dir', str(workplace / 'pictures')]
    assert run(workplace, 'test', STUDENT, checkpoint(workplace, STUDENT), *options) == 0
    assert sorted(path.name for path in (workplace / 'submission').rglob('*.txt')) == ['000000.txt', '000001.txt']
    assert sorted(path.name for path in (workplace / 'pictures').iterdir()) == ['000000.png', '000001.png']


@pytest.mark.slow
def test_a_run_continues_where_it_was(workplace, capsys):
    options = ['--resume', '--cfg-options', 'train_cfg.max_epochs=3']
    assert run(workplace, 'train', STUDENT, *options) == 0
    assert Path(checkpoint(workplace, STUDENT, epoch=3)).is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['load_from=nowhere.pth'], 'load_from: nowhere.pth does not exist'),
        (['model.teachers.depth.checkpoint=nowhere.pth'], 'nowhere.pth'),
        (['model.teachers.depth.checkpoint=None'], 'model.teachers.depth: no checkpoint'),
        (['model.taps.s=student:nek'], "student has no module 'nek'; did you mean 'neck'"),
        (['model.losses.spearman.from=rank'], "SpearmanLoss has no option 'from'; did you mean 'form'?"),
        (['model.adapters.s_adapted.channels=(8,8,8,8)'], 'ConvAdapter'),
    ],
)
def test_a_mistake_is_one_line_and_status_2(workplace, capsys, options, message):
    assert run(workplace, 'train', MONOSKD, '--cfg-options', *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_truncated_teacher_is_named(workplace, capsys):
    whole = Path(checkpoint(workplace, TEACHER)).read_bytes()
    (workplace / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    options = ['--cfg-options', f'model.teachers.depth.checkpoint={workplace / "cut.pth"}']
    assert run(workplace, 'train', MONOSKD, *options) == 2
    assert 'cut.pth' in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_of_another_model_is_not_evaluated(workplace, tmp_path, capsys):
    import torch

    torch.save({'state_dict': {'other.weight': torch.ones(1)}, 'meta': {}}, tmp_path / 'other.pth')
    assert run(workplace, 'test', STUDENT, str(tmp_path / 'other.pth')) == 2
    assert 'the checkpoint does not fit CenterNetMono3D' in capsys.readouterr().err


@pytest.mark.slow
def test_a_frame_without_its_depth_map_is_named(workplace, capsys):
    depth = workplace / 'kitti' / 'training' / 'depth_dense' / '000001.png'
    hidden = depth.rename(depth.with_suffix('.hidden'))
    try:
        assert run(workplace, 'train', TEACHER) == 2
    finally:
        hidden.rename(depth)
    assert 'frame 000001' in capsys.readouterr().err


def test_a_dry_run_builds_and_trains_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['train', str(STUDENT), '--dry-run']) == 0
    assert 'CenterNetMono3D with 1,0' in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_a_test_needs_no_checkpoint_on_disk(capsys):
    assert main(['test', str(MONOSKD), 'nowhere.pth', '--dry-run']) == 0
    assert 'CenterNetMono3D' in capsys.readouterr().out


def test_a_config_that_does_not_exist_is_one_line(capsys):
    assert main(['train', 'nowhere.py']) == 2
    assert "config 'nowhere.py' does not exist" in capsys.readouterr().err

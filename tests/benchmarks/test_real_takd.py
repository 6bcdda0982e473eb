"""benchmarks/real_takd.py: MonoTAKD's one command on real frames."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mono_distill.apis import stages
from mono_distill.apis.launch import load_config

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / 'benchmarks' / 'results' / 'real_takd.md'
# Two steps of each training.
SHORT = (
    'train_dataloader.dataset.times=1',
    'train_dataloader.batch_size=4',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'train_cfg.max_epochs=1',
    'default_hooks.checkpoint.interval=1',
)


def load_script(monkeypatch):
    # It imports real_frames.py beside it, and puts its folder on the path.
    monkeypatch.setattr(sys, 'path', list(sys.path))
    spec = importlib.util.spec_from_file_location('real_takd', ROOT / 'benchmarks' / 'real_takd.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def real_takd(monkeypatch):
    return load_script(monkeypatch)


def row(title, config, score):
    scores = dict.fromkeys(('3D, IoU 0.5', '3D, IoU 0.7', 'BEV, IoU 0.5', 'BEV, IoU 0.7'), score)
    return {'title': title, 'config': config, 'steps': 840, 'wall_s': 9.0, 'cpu_s': 7.4, 'AP40': scores}


def test_every_training_of_the_command_is_in_the_table(real_takd, monkeypatch):
    monkeypatch.setenv('KITTI_ROOT', 'kitti')
    planned = stages.plan_stages(str(real_takd.DISTILLATION), Path('work_dirs'))
    assert [stage.name for stage in planned] == [config.stem for config in real_takd.TITLES]


def test_the_options_exist_in_every_config(real_takd, monkeypatch):
    monkeypatch.setenv('KITTI_ROOT', 'kitti')
    for path in real_takd.TITLES:
        config = load_config(str(path))
        for option in real_takd.OPTIONS:
            *parents, last = option.split('=')[0].split('.')
            value = config
            for key in parents:
                value = value[key]
            assert last in value, f'{path.name}: {option}'


@pytest.mark.parametrize(
    ('state', 'what'), [('finished', 'done before'), ('begun', 'goes on'), ('missing', 'training')]
)
def test_what_the_command_says_is_understood(real_takd, state, what, monkeypatch, tmp_path):
    lines = []
    stage = stages.Stage('takd_tiny', 'teacher lidar', 'takd_tiny.py', tmp_path)
    monkeypatch.setattr(stages.Stage, 'state', lambda self: state)
    monkeypatch.setattr(stages.Stage, 'config', lambda self: {})
    monkeypatch.setattr(stages, 'last_checkpoint', lambda folder: folder / 'epoch_40.pth')
    monkeypatch.setattr(stages, 'launch', FakeLaunch)
    stages.run_stages([stage], say=lines.append)
    found = [real_takd._LINE.match(line).groups() for line in lines]
    assert found == ([('takd_tiny', what)] if state == 'finished' else [('takd_tiny', what), ('takd_tiny', 'done')])


class FakeLaunch:
    """Trains nothing."""

    @staticmethod
    def set_resume(config, checkpoint):
        pass

    @classmethod
    def build_runner(cls, config):
        return cls()

    def train(self):
        pass


def test_the_table(real_takd):
    result = {
        'frames': 7,
        'torch': '2.13',
        'again': {'wall_s': 20.0, 'cpu_s': 6.2},
        'rows': [row('teacher', 'points', 99.96), row('student', 'camera', 87.5)],
        'same_through_plain_student': True,
    }
    text = real_takd.table(result)
    assert '| teacher | `points` | 840 | 7 s | 100.0 | 100.0 | 100.0 | 100.0 |' in text
    assert '| student | `camera` | 840 | 7 s | 87.5 | 87.5 | 87.5 | 87.5 |' in text
    assert 'again takes 6 s' in text
    assert 'gives the same numbers' in text
    assert 'DIFFERENT' in real_takd.table({**result, 'same_through_plain_student': False})


def test_the_page_has_the_measured_table():
    assert RESULTS.read_text().strip() in (ROOT / 'docs' / 'monotakd.md').read_text()


def test_a_command_that_fails_is_an_error(real_takd, tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        real_takd.run_stages(tmp_path, ['--all-options', 'train_cfg.max_epoch=1'], {'PYTHONPATH': str(ROOT)}, print)
    assert 'max_epoch' in (tmp_path / 'commands.log').read_text()


def test_a_later_call_keeps_the_seconds_of_what_it_skips(real_takd, tmp_path, monkeypatch):
    left = ['teacher', 'student']

    def stage_command(work, options, environment, trained):
        while left:
            trained(left.pop(), {'wall_s': 3.0, 'cpu_s': 2.0})
        return {'wall_s': 1.0, 'cpu_s': 0.5}

    monkeypatch.setattr(real_takd, 'run_stages', stage_command)
    first, later = (real_takd.train(tmp_path, (), {}) for _ in range(2))
    assert first == later
    assert first == {
        'teacher': {'wall_s': 3.0, 'cpu_s': 2.0},
        'student': {'wall_s': 3.0, 'cpu_s': 2.0},
        'again': {'wall_s': 1.0, 'cpu_s': 0.5},
    }


def test_a_second_call_that_trains_is_an_error(real_takd, tmp_path, monkeypatch):
    def stage_command(work, options, environment, trained):
        trained('student', {'wall_s': 3.0, 'cpu_s': 2.0})
        return {'wall_s': 4.0, 'cpu_s': 2.5}

    monkeypatch.setattr(real_takd, 'run_stages', stage_command)
    with pytest.raises(RuntimeError, match='trained student again'):
        real_takd.train(tmp_path, (), {})


@pytest.mark.slow
def test_all_four_are_trained_scored_and_drawn_then_skipped(real_takd, kitti_real, tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    # The checkout itself, so that the command works before the package is installed.
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    result = real_takd.measure(kitti_real, tmp_path, SHORT, SHORT[:1])
    assert result['frames'] == 7
    assert result['same_through_plain_student']
    assert [made['steps'] for made in result['rows']] == [2, 2, 2, 2]
    assert all(made['cpu_s'] > 0 and set(made['AP40']) == set(row('', '', 0)['AP40']) for made in result['rows'])
    for config in real_takd.TITLES:
        assert len(list((tmp_path / 'pictures' / config.stem).glob('*.png'))) == 7
    assert set(json.loads((tmp_path / 'seconds.json').read_text())) == {
        *(config.stem for config in real_takd.TITLES),
        'again',
    }

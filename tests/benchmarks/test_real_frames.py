"""benchmarks/real_frames.py: students fitted to real frames."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mono_distill.apis.launch import load_config

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / 'benchmarks' / 'results' / 'real_students.md'
# Two steps and one test.
SHORT = (
    'train_dataloader.dataset.times=1',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'train_cfg.max_epochs=1',
    'default_hooks.checkpoint.interval=1',
)


def load_script():
    spec = importlib.util.spec_from_file_location('real_frames', ROOT / 'benchmarks' / 'real_frames.py')
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


real_frames = load_script()


def value_at(config, path):
    """The value of a config under keys with dots between."""
    for key in path.split('.'):
        config = config[key]
    return config


@pytest.mark.parametrize('name', [name for name, student in real_frames.STUDENTS.items() if student.options])
def test_options_of_a_students_training_exist_and_change_it(name, monkeypatch):
    monkeypatch.setenv('KITTI_ROOT', 'kitti')
    student = real_frames.STUDENTS[name]
    options = dict(option.split('=') for option in student.options)
    plain, changed = Config.fromfile(student.config), load_config(str(student.config), options)
    for path, text in options.items():
        assert str(value_at(plain, path)) != text
        assert str(value_at(changed, path)) == text


def test_the_page_has_the_measured_table():
    assert RESULTS.read_text().strip() in (ROOT / 'docs' / 'students.md').read_text()


@pytest.mark.slow
@pytest.mark.parametrize('name', real_frames.STUDENTS)
def test_a_student_is_trained_scored_and_drawn(name, kitti_real, tmp_path, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    # The checkout itself, so that the command works before the package is installed.
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    short = dataclasses.replace(real_frames.STUDENTS[name], options=SHORT)
    monkeypatch.setitem(real_frames.STUDENTS, name, short)
    (result,) = real_frames.measure_students([name], kitti_real, tmp_path)
    assert (result['frames'], result['steps']) == (7, 2)
    assert set(result['AP40']) == set(result['AP11']) == {'3D, IoU 0.5', '3D, IoU 0.7', 'BEV, IoU 0.5', 'BEV, IoU 0.7'}
    assert len(list((tmp_path / 'pictures' / name).glob('*.png'))) == 7
    assert json.loads((tmp_path / f'student_{name}.json').read_text()) == result
    assert f'| {short.title} | `{short.config.stem}` | 2 |' in real_frames.students_table([result])

"""What docs/checkpoints.md shows is run, or at least understood."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mono_distill.apis.export import export_student
from mono_distill.cli.main import main
from mono_distill.compat.checkpoints import load_checkpoint_file
from mono_distill.models.converters.official import OFFICIAL_SOURCES

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / 'docs' / 'checkpoints.md').read_text()
STUDENT = ROOT / 'configs' / 'students' / 'monodle_tiny_kitti.py'


def blocks(language):
    return re.findall(rf'```{language}\n(.*?)```', PAGE, re.DOTALL)


def commands():
    lines = '\n'.join(blocks('bash')).replace('\\\n', ' ').splitlines()
    return [line for line in lines if line.startswith('mono-distill')]


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """student.pth and student_config.py in the current folder."""
    init_default_scope('mmdet3d')
    state = MODELS.build(Config.fromfile(STUDENT).model).state_dict()
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'epoch_150.pth')
    monkeypatch.chdir(tmp_path)
    export_student(str(STUDENT), 'epoch_150.pth', out='student.pth')
    return state


def test_there_are_commands():
    assert [shlex.split(line)[1] for line in commands()] == ['convert', 'test', 'train', 'export', 'export', 'test']


@pytest.mark.parametrize('line', commands(), ids=lambda line: ' '.join(line.split()[:2]))
def test_every_command_is_understood(line, monkeypatch):
    command = shlex.split(line)[1:]
    monkeypatch.setattr(importlib.import_module(f'mono_distill.cli.{command[0]}'), 'run', lambda args: 0)
    assert main(command) == 0


@pytest.mark.parametrize('code', blocks('python'), ids=['mmdet3d', 'from the file alone'])
def test_the_examples_load_the_student(code, exported):
    names = {}
    exec(code, names)
    loaded = names['model'].state_dict()
    assert loaded.keys() == exported.keys()
    assert all(torch.equal(value, exported[key]) for key, value in loaded.items())


def test_the_official_way_back_to_pixels_can_be_chosen_as_the_page_says(exported):
    from mono_distill.apis.launch import load_config

    found = re.search(r'(model\.bbox_head\.bbox_coder\.type=\S+) (\S+)', PAGE)
    options = dict(option.split('=') for option in found.groups())
    detector = MODELS.build(load_config('student_config.py', options).model)
    assert detector.bbox_head.bbox_coder.decode_mode == 'official'
    assert load_checkpoint_file('student.pth')['meta']['config'] == str(STUDENT)


def test_the_table_has_every_repository():
    rows = re.findall(r'^\| `(\w+)` \| \[.*?\]\(https://github.com/.*?\) \| (.*?) \|', PAGE, re.MULTILINE)
    assert {name: tuple(parts.split(', ')) for name, parts in rows} == {
        name: tuple(source.configs) for name, source in OFFICIAL_SOURCES.items()
    }

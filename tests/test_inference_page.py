"""The commands and programs of docs/inference.md run."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_inference import CONFIG, picture, write_weights

from mono_distill.apis.inferencer import MonoDistillInferencer

PAGE = (Path(__file__).resolve().parent.parent / 'docs' / 'inference.md').read_text()
BLOCKS = re.findall(r'```(\w+)\n(.*?)```', PAGE, re.DOTALL)
COMMANDS = [
    line
    for kind, block in BLOCKS
    if kind == 'bash'
    for line in block.replace('\\\n', ' ').splitlines()
    if line.startswith('mono-distill')
]
PROGRAMS = [block for kind, block in BLOCKS if kind == 'python']
CAMERA = [[721.5, 0, 609.6, 44.9], [0, 721.5, 172.9, 0.2], [0, 0, 1, 0.003]]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A current folder with a checkpoint and a picture under the names of the page."""
    write_weights(tmp_path / 'epoch_140.pth')
    (tmp_path / 'pictures').mkdir()
    image = cv2.resize(picture(94, 310), (1242, 375), interpolation=cv2.INTER_CUBIC)
    for path in ('pictures/street.png', 'street.png'):
        cv2.imwrite(str(tmp_path / path), image)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_is_something_to_run():
    assert (len(COMMANDS), len(PROGRAMS)) == (4, 2)


@pytest.mark.parametrize('command', COMMANDS)
def test_commands_have_the_options_they_show(command):
    _, name, *arguments = shlex.split(command)
    parser = argparse.ArgumentParser()
    importlib.import_module(f'mono_distill.cli.{name}').configure(parser)
    values = vars(parser.parse_args(arguments)).values()
    understood = {str(part) for value in values for part in (value if isinstance(value, list) else [value])}
    assert {argument for argument in arguments if not argument.startswith('-')} <= understood


def test_the_program_prints_every_object(place, capsys):
    program = PROGRAMS[0].replace('configs/students/monodle_kitti.py', str(CONFIG))
    exec(compile(program, 'docs/inference.md', 'exec'), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.startswith('street ') for line in lines)


def test_the_program_without_this_package_finds_the_same_boxes(place, capsys):
    reason = 'needs onnx and onnxruntime (pip install onnx onnxruntime)'
    for name in ('onnx', 'onnxruntime'):
        pytest.importorskip(name, reason=reason)
    from mono_distill.apis.onnx_export import export_onnx

    export_onnx(CONFIG, 'epoch_140.pth', 'monodle.onnx')
    names: dict = {}
    exec(compile(PROGRAMS[1], 'docs/inference.md', 'exec'), names)
    expected = MonoDistillInferencer(CONFIG, 'epoch_140.pth', 'cpu')('street.png', CAMERA)[0]
    kept = names['heat'] >= 0.2
    assert np.allclose(names['boxes'][kept], expected.bboxes_3d, atol=1e-3)
    assert np.allclose(names['boxes_2d'][kept], expected.bboxes_2d, atol=1e-2)
    assert len(capsys.readouterr().out.splitlines()) == len(expected)

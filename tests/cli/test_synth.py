from __future__ import annotations

import signal
from pathlib import Path

import pytest

from mono_distill.cli.main import main
from mono_distill.synthetic.kitti.options import KittiOptions
from mono_distill.synthetic.nuscenes.options import NuScenesOptions

KITTI_REPORT = {
    'root': 'data',
    'splits': {'train': 10, 'val': 0, 'trainval': 10},
    'sequences': 1,
    'written': 8,
    'kept': 2,
    'objects': {'Car': 31, 'DontCare': 4},
    'seconds': 12.3,
}
NUSCENES_REPORT = {
    'root': 'data',
    'version': 'v1.0-mini',
    'keyframes': 8,
    'kept_keyframes': 0,
    'train_scenes': ['scene-0061'],
    'val_scenes': ['scene-0103'],
    'boxes_by_category': {'vehicle.car': 50},
    'seconds': 4.0,
}


class Recorder:
    """Stands in for a writer and notes how it was called."""

    def __init__(self, report):
        self.report = report

    def __call__(self, options, *, workers, resume, progress):
        self.options, self.workers, self.resume = options, workers, resume
        self.progress = list(progress(iter([1, 2]), 2))
        return self.report


@pytest.fixture
def kitti(monkeypatch):
    recorder = Recorder(KITTI_REPORT)
    monkeypatch.setattr('mono_distill.synthetic.kitti.writer.write_kitti', recorder)
    return recorder


@pytest.fixture
def nuscenes(monkeypatch):
    recorder = Recorder(NUSCENES_REPORT)
    monkeypatch.setattr('mono_distill.synthetic.nuscenes.writer.write_nuscenes', recorder)
    return recorder


def test_kitti_options_reach_the_writer(kitti):
    arguments = '--out data --frames 10 --seed 3 --image-scale .25 --difficulty .7 --val-share .5 --workers 2 --resume'
    assert main(['synth', 'kitti', *arguments.split()]) == 0
    assert kitti.options == KittiOptions(Path('data'), 10, seed=3, image_scale=0.25, difficulty=0.7, val_share=0.5)
    assert (kitti.workers, kitti.resume, kitti.progress) == (2, True, [1, 2])


def test_kitti_defaults_are_those_of_the_options(kitti):
    assert main(['synth', 'kitti', '--out', 'data', '--frames', '10']) == 0
    assert kitti.options == KittiOptions(Path('data'), 10)
    assert not kitti.resume


def test_kitti_summary_says_what_was_made_and_what_comes_next(kitti, capsys):
    main(['synth', 'kitti', '--out', 'data', '--frames', '10'])
    out = capsys.readouterr().out
    assert '8 frames written, 2 kept, of 1 sequences (train 10, val 0) in 12 s' in out
    assert 'objects: 31 Car, 4 DontCare' in out
    assert 'val is empty' in out
    assert 'next: mono-distill prepare kitti --root data' in out


def test_nuscenes_options_reach_the_writer(nuscenes, capsys):
    arguments = '--out data --scenes 2 --keyframes 4 --seed 3 --image-scale .25 --difficulty .7 --workers 1'
    assert main(['synth', 'nuscenes', *arguments.split()]) == 0
    assert nuscenes.options == NuScenesOptions(Path('data'), 2, 4, 3, image_scale=0.25, difficulty=0.7)
    assert (nuscenes.workers, nuscenes.resume) == (1, False)
    out = capsys.readouterr().out
    assert 'v1.0-mini: 8 key-frames (0 kept), 1 scenes to train, 1 to validate, in 4 s' in out
    assert 'boxes: 50 vehicle.car' in out


@pytest.mark.parametrize('arguments', [['kitti', '--frames', '0'], ['nuscenes', '--scenes', '0', '--keyframes', '4']])
def test_impossible_options_are_one_line_and_status_2(arguments, tmp_path, capsys):
    assert main(['synth', *arguments, '--out', str(tmp_path)]) == 2
    assert 'must be' in capsys.readouterr().err


def test_folder_in_use_is_refused(tmp_path, capsys):
    (tmp_path / 'notes.txt').touch()
    assert main(['synth', 'kitti', '--out', str(tmp_path), '--frames', '1']) == 2
    assert 'is not empty' in capsys.readouterr().err


@pytest.fixture
def answered_interrupts():
    """Python's own answer to Ctrl-C, which is missing where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_interrupt_says_how_to_continue(number, capsys, monkeypatch, tmp_path, answered_interrupts):
    def interrupted(*_args, **_kwargs):
        # To this thread: a signal to the process may reach another one, and this one too late.
        signal.raise_signal(number)
        raise AssertionError('the signal was not answered')

    monkeypatch.setattr('mono_distill.synthetic.kitti.writer.write_kitti', interrupted)
    assert main(['synth', 'kitti', '--out', str(tmp_path), '--frames', '1']) == 130
    assert 'run the same command with --resume' in capsys.readouterr().out


def test_format_and_out_are_required(capsys):
    with pytest.raises(SystemExit):
        main(['synth'])
    assert 'FORMAT' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['synth', 'kitti', '--frames', '1'])
    assert '--out' in capsys.readouterr().err

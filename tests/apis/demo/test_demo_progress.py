"""How far a job is, read from its log or its files."""

import pytest

from mono_distill.apis.demo.progress import Clock, Progress, files_in, tail, test_batches, training_steps

test_batches.__test__ = False
LINE = (
    '11/26 06:24:42 - mmengine - INFO - Epoch(train)  [{}][{}/35]  lr: 1e-03  eta: 0:00:03  loss: {}  loss_depth: 9.1\n'
)


def test_nothing_is_known_before_the_first_line(tmp_path):
    assert training_steps(4, 140)(tmp_path / 'log') == Progress(0, 140, 'steps')


def test_the_last_line_counts(tmp_path):
    log = tmp_path / 'log'
    log.write_text(LINE.format(1, ' 10', '25.2') + 'Saving checkpoint\n' + LINE.format(3, '20', '12.79') + 'half a li')
    assert training_steps(4, 140)(log) == Progress(90, 140, 'steps', 'loss 12.79')


def test_a_test_counts_batches(tmp_path):
    log = tmp_path / 'log'
    log.write_text('Epoch(test) [ 5/38]    eta: 0:00:01\nEpoch(test) [10/38]    eta: 0:00:01\n')
    assert test_batches(log) == Progress(10, 38, 'batches')
    assert test_batches(tmp_path / 'none') == Progress(0, 0, 'batches')


def test_files_are_counted(tmp_path):
    measure = files_in(tmp_path / 'label_2', '*.txt', 5)
    assert measure(tmp_path).done == 0
    (tmp_path / 'label_2').mkdir()
    for name in ('a.txt', 'b.txt', '.half.tmp'):
        (tmp_path / 'label_2' / name).touch()
    assert measure(tmp_path) == Progress(2, 5, 'frames')


def test_the_tail_is_the_end(tmp_path):
    (tmp_path / 'log').write_text('x' * 1000 + 'end')
    assert tail(tmp_path / 'log', 5) == 'xxend'


def test_the_time_left_follows_from_the_pace_since_the_first_reading():
    clock = Clock()
    assert clock.left(0.0, Progress(0, 100, 'steps')) is None
    assert clock.left(10.0, Progress(50, 100, 'steps')) is None
    assert clock.left(20.0, Progress(60, 100, 'steps')) == pytest.approx(40.0)


def test_no_time_is_given_without_a_total():
    clock = Clock()
    clock.left(0.0, Progress(1, 0, 'batches'))
    assert clock.left(1.0, Progress(2, 0, 'batches')) is None

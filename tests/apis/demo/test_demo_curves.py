"""Reading training logs, runs that were interrupted included."""

import pytest
from demo_files import write_log

from mono_distill.apis.demo.curves import detection_loss, distillation_losses, read_scalars, term


def test_a_resumed_run_replaces_what_it_repeats(tmp_path):
    write_log(tmp_path, {10: 5.0, 20: 4.0, 30: 3.0}, run='20260101_000000')
    write_log(tmp_path, {20: 4.5, 30: 3.5, 40: 2.5}, run='20260101_000100')
    curve = detection_loss(read_scalars(tmp_path))
    assert curve.steps == [10, 20, 30, 40]
    assert curve.values == [5.0, 4.5, 3.5, 2.5]


def test_a_line_that_was_cut_off_is_skipped(tmp_path):
    write_log(tmp_path, {10: 5.0})
    with next(tmp_path.rglob('scalars.json')).open('a') as file:
        file.write('{"loss": 4.0, "st')
    assert list(read_scalars(tmp_path)) == [10]


def test_the_detection_loss_leaves_out_the_distillation(tmp_path):
    write_log(tmp_path, {10: 5.0}, loss_kd_spearman=0.5, loss_kd_response=1.0)
    rows = read_scalars(tmp_path)
    assert detection_loss(rows).values == pytest.approx([5.0])
    assert {name: curve.values for name, curve in distillation_losses(rows).items()} == {
        'response': [1.0],
        'spearman': [0.5],
    }
    assert term(rows, 'loss_depth').values == [2.5]
    assert term(rows, 'absent').values == []


def test_no_log_gives_no_curve(tmp_path):
    assert read_scalars(tmp_path) == {}
    assert detection_loss({}).values == []

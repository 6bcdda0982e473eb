from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict
from pathlib import Path

import pytest
from bench_worlds import tiny_plan

from mono_distill.apis.synth_bench.analysis import CLASS_MEASURES, DEPTH_MEASURES, MEASURES, Row, late_change, plain
from mono_distill.apis.synth_bench.plan import PRIMARY
from mono_distill.apis.synth_bench.report import (
    BEGIN,
    END,
    gain_table,
    readme_block,
    summary_csv,
    summary_table,
    teacher_lead,
)
from mono_distill.apis.synth_bench.statistics import Interval
from mono_distill.utils.errors import DataError

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / 'benchmarks' / 'results' / 'synth'


def row(arm, scores, **gains):
    everywhere = dict.fromkeys(MEASURES)
    return Row(
        setting='tiny',
        arm=arm,
        seeds=list(range(len(scores))),
        steps=100,
        scores={label: list(scores) for label in everywhere},
        spread={label: Interval(1.0, 0.5, 1.5) for label in everywhere},
        gain={control: dict.fromkeys(everywhere, gain) for control, gain in gains.items()},
    )


ROWS = [
    row('teacher', [30.0]),
    row('control', [10.0, 12.0]),
    row('monoskd', [12.0, 15.0], control=Interval(2.5, 0.4, 4.6), dense_gt=Interval(0.2, -1.0, 1.4)),
    row('dense_gt', [11.0, 13.0], control=Interval(1.0, -0.5, 2.5)),
    row('monoskd_unlabelled', [14.0, 15.0], pseudo_labels=Interval(-3.0, -4.0, -2.0)),
]


def content(rows=ROWS, runs=()):
    return {'plan': asdict(tiny_plan()), 'rows': [plain(one) for one in rows], 'runs': list(runs)}


def line_of(table, text):
    (line,) = [line for line in table.splitlines() if text in line]
    return [cell.strip() for cell in line.strip('|').split('|')]


def test_an_arm_is_shown_with_mean_deviation_and_gain():
    line = line_of(summary_table(content()), 'MonoSKD as released')
    assert line[2:4] == ['2', '13.5 ± 2.1']
    assert line[-2:] == ['**+2.5 [+0.4, +4.6]**', '+0.2 [-1.0, +1.4] (dense ground truth)']


def test_only_intervals_without_zero_are_bold():
    table = summary_table(content())
    assert line_of(table, 'dense ground truth, no teacher')[-2] == '+1.0 [-0.5, +2.5]'
    assert line_of(table, 'unlabelled frames too')[-2:] == ['', '**-3.0 [-4.0, -2.0]** (pseudo-labels)']


def test_controls_and_teachers_have_no_gain_and_one_seed_no_deviation():
    table = summary_table(content())
    assert line_of(table, 'control: more training')[-2:] == ['', '']
    assert line_of(table, 'teacher (LiDAR')[3] == '30.0'


def test_the_teachers_lead_is_its_score_over_the_controls():
    assert teacher_lead(ROWS, 'tiny') == pytest.approx(30 / 11)
    assert 'scores 2.7 times' in summary_table(content())
    assert teacher_lead(ROWS[1:], 'tiny') is None


def test_the_late_change_is_over_the_last_third_of_the_curve():
    curves = ([1.0, 5.0, 6.0, 7.0], [2.0, 5.5, 9.0, 6.5])
    results = [{'val': [{'step': i, PRIMARY: value} for i, value in enumerate(curve)]} for curve in curves]
    mean, error = late_change(results)
    assert mean == pytest.approx((2.0 + 1.0) / 2)
    assert error == pytest.approx(0.5)
    assert math.isnan(late_change([])[0])


def test_the_csv_holds_every_measure_and_control_of_every_arm():
    lines = list(csv.DictReader(io.StringIO(summary_csv(ROWS))))
    assert len(lines) == (len(ROWS) + 1) * len(MEASURES)
    taught = next(line for line in lines if line['arm'] == 'monoskd' and line['measure'] == '3D@0.5')
    assert (taught['mean'], taught['gain'], taught['gain_low']) == ('13.500', '2.500', '0.400')
    teacher = next(line for line in lines if line['arm'] == 'teacher')
    assert (teacher['std'], teacher['gain']) == ('', '')


@pytest.mark.parametrize('measures', [DEPTH_MEASURES, CLASS_MEASURES])
def test_gains_by_distance_and_class_have_a_column_each(measures):
    table = gain_table(content(), list(measures))
    assert line_of(table, 'setting')[2:] == list(measures)
    assert line_of(table, 'MonoSKD as released')[2:] == ['13.5 (**+2.5 [+0.4, +4.6]**)'] * len(measures)


def test_the_late_change_of_the_controls_is_told():
    runs = [
        {'setting': 'tiny', 'arm': 'control', 'val': [{'step': i, PRIMARY: float(i)} for i in range(6)]},
        {'setting': 'tiny', 'arm': 'monoskd', 'val': [{'step': i, PRIMARY: 99.0 * i} for i in range(6)]},
    ]
    assert 'tiny +2.0.' in summary_table(content(runs=runs))
    assert 'last third' not in summary_table(content())


def test_without_results_there_is_no_block(tmp_path):
    with pytest.raises(DataError, match='holds no results'):
        readme_block(tmp_path)


@pytest.mark.parametrize('page', ['README.md', 'docs/synthetic_benchmark.md'])
def test_the_committed_tables_are_made_of_the_committed_results(page):
    text = (ROOT / page).read_text()
    assert text[text.index(BEGIN) : text.index(END) + len(END)] == readme_block(RESULTS)


@pytest.mark.parametrize('name', ['distances.md', 'classes.md'])
def test_the_committed_distances_and_classes_are_those_of_the_page(name):
    assert (RESULTS / name).read_text() in (ROOT / 'docs' / 'synthetic_benchmark.md').read_text()

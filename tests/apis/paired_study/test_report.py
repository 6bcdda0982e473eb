from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from scipy import stats

from mono_distill.apis.paired_study.report import paired_difference, write_report
from mono_distill.apis.paired_study.study import Study, Training
from mono_distill.apis.synth_bench.configs import Folders
from mono_distill.utils.errors import DataError

STUDY = Study(
    'demo',
    'A demonstration',
    {'mAP': 'M/mAP', 'NDS': 'M/NDS'},
    {
        'base': Training('base', 'b.py'),
        'control': Training('control', 'c.py', start='base'),
        'taught': Training('taught', 'd.py', start='base', against=('control',)),
    },
    seeds=3,
    note='A last word.',
)
SCORES = {'base': [1.0, 2.0, 3.0], 'control': [10.0, 11.0, 12.0], 'taught': [12.0, 13.5, 13.5]}


def finish(folders, skip=()):
    for run in STUDY.runs():
        if run.id in skip:
            continue
        score = SCORES[run.arm][run.seed]
        folders.run(run).mkdir(parents=True)
        result = {
            'fingerprint': STUDY.fingerprint(run),
            'steps': 7,
            'test': {'M/mAP': score, 'M/NDS': 2 * score},
            'scalars': {'kd_x': 2.5} if run.arm == 'taught' else {},
            'cpu_seconds': 5.0,
            'torch': '2',
        }
        folders.result(run).write_text(json.dumps(result))
    return folders


def test_the_interval_is_that_of_the_paired_t_test():
    ours, theirs = [12.0, 13.5, 13.5, 16.0], [10.0, 11.0, 12.0, 12.5]
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    found = paired_difference(ours, theirs)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.values == (2.0, 2.5, 1.5, 3.5)
    assert found.real


def test_one_seed_has_no_interval_and_proves_nothing():
    found = paired_difference([3.0], [1.0])
    assert found.mean == 2.0
    assert math.isnan(found.low)
    assert not found.real


def test_unpaired_scores_are_refused():
    with pytest.raises(DataError, match='2 and 1 seeds'):
        paired_difference([1.0, 2.0], [1.0])


def test_the_table_has_scores_and_differences(tmp_path):
    write_report(STUDY, finish(Folders(tmp_path)), tmp_path / 'out')
    text = (tmp_path / 'out.md').read_text()
    assert text.startswith('# A demonstration\n')
    assert '| control | 3 | 7 | 11.0 ± 1.0 | 22.0 ± 2.0 |' in text
    assert '**+2.0 [+0.8, +3.2]**' in text
    assert text.endswith('A last word.\n')
    content = json.loads((tmp_path / 'out.json').read_text())
    assert content['differences']['taught']['control']['NDS']['values'] == [4.0, 5.0, 3.0]


def test_other_columns_can_be_chosen(tmp_path):
    study = replace(STUDY, compared=('mAP', 'NDS'), scalars={'x': 'kd_x'})
    write_report(study, finish(Folders(tmp_path)), tmp_path / 'out')
    lines = (tmp_path / 'out.md').read_text().splitlines()
    assert [cell.strip() for cell in lines[2].split('|')][4:9] == ['mAP', 'NDS', 'x', 'mAP over …', 'NDS over …']
    taught = lines[6]
    assert '| 2.50 ± 0.00 |' in taught
    assert 'control: **+4.0 [+1.5, +6.5]**' in taught


def test_scores_of_at_most_one_have_three_digits(tmp_path, monkeypatch):
    monkeypatch.setitem(SCORES, 'control', [0.1234, 0.2, 0.3])
    monkeypatch.setitem(SCORES, 'taught', [0.1, 0.2, 0.3])
    monkeypatch.setitem(SCORES, 'base', [0.1, 0.1, 0.1])
    write_report(STUDY, finish(Folders(tmp_path)), tmp_path / 'out')
    assert '| 0.208 ± 0.089 |' in (tmp_path / 'out.md').read_text()


def test_the_table_says_whether_what_is_compared_started_alike(tmp_path):
    folders = finish(Folders(tmp_path))
    write_report(STUDY, folders, tmp_path / 'v0.1')
    assert 'starts from the same weights' in (tmp_path / 'v0.1.md').read_text()
    for path in tmp_path.glob('runs/demo/taught/*/result.json'):
        path.write_text(path.read_text().replace('"steps": 7', '"steps": 8'))
    write_report(STUDY, folders, tmp_path / 'v0.1')
    assert 'Not of equal start and budget: taught and control.' in (tmp_path / 'v0.1.md').read_text()


def test_only_seeds_that_both_have_are_paired(tmp_path):
    write_report(STUDY, finish(Folders(tmp_path), skip=['demo/control/1']), tmp_path / 'out')
    content = json.loads((tmp_path / 'out.json').read_text())
    assert content['differences']['taught']['control']['mAP']['values'] == [2.0, 1.5]


def test_nothing_finished_is_an_error(tmp_path):
    with pytest.raises(DataError, match='no finished run of study demo'):
        write_report(STUDY, Folders(tmp_path), tmp_path / 'out')

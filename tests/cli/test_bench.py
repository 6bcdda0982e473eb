from __future__ import annotations

import json

import pytest
from bench_worlds import tiny_plan

from mono_distill.apis.synth_bench import data, schedule
from mono_distill.apis.synth_bench.plan import Plan
from mono_distill.cli.main import main


@pytest.fixture
def calls(monkeypatch):
    """Neither data nor runs are made; what would be is noted."""
    seen = {'worlds': [], 'runs': []}
    monkeypatch.setattr(data, 'make_world', lambda world, root, **_: seen['worlds'].append(root.name))

    def run_all(runs, plan, folders, **options):
        seen['runs'] = [run.id for run in runs]
        seen['options'] = options
        return seen.get('left', [])

    monkeypatch.setattr(schedule, 'run_all', run_all)
    return seen


def test_the_plan_is_written_and_its_worlds_and_runs_are_made(tmp_path, calls):
    assert main(['bench', 'synth', '--work', str(tmp_path), '--seeds', '2', '--workers', '3']) == 0
    plan = Plan.load(tmp_path / 'plan.json')
    assert plan.settings['main'].seeds == 2
    assert set(calls['worlds']) == set(plan.worlds)
    assert calls['runs'] == [run.id for run in plan.runs()]
    assert calls['options']['workers'] == 3


def test_a_row_can_be_reproduced_alone(tmp_path, calls):
    arguments = ['--work', str(tmp_path), '--seeds', '1', '--settings', 'main', '--arms', 'monoskd']
    assert main(['bench', 'synth', *arguments]) == 0
    assert calls['runs'] == ['main/base/0', 'main/teacher/0', 'main/monoskd/0']
    assert calls['worlds'] == ['main']


def test_another_plan_can_be_given(tmp_path, calls):
    tiny_plan(('control',)).save(tmp_path / 'own.json')
    assert main(['bench', 'synth', '--work', str(tmp_path / 'w'), '--plan', str(tmp_path / 'own.json')]) == 0
    assert calls['runs'] == ['tiny/base/0', 'tiny/control/0']


def test_a_wrong_name_is_an_error_with_a_hint(tmp_path, calls, capsys):
    assert main(['bench', 'synth', '--work', str(tmp_path), '--arms', 'monoskdd']) == 2
    assert "did you mean 'monoskd'" in capsys.readouterr().err
    assert not (tmp_path / 'plan.json').exists()


def test_time_that_ran_out_is_a_status_and_names_what_is_left(tmp_path, calls, capsys):
    calls['left'] = tiny_plan().runs()[:2]
    assert main(['bench', 'synth', '--work', str(tmp_path), '--minutes', '1']) == 3
    assert 'time ran out before 2 runs: tiny/base/0, tiny/control/0' in capsys.readouterr().out
    assert calls['options']['minutes'] == 1


def test_a_report_of_nothing_is_an_error(tmp_path, calls, capsys):
    arguments = ['--work', str(tmp_path), '--report-only', '--out', str(tmp_path / 'out')]
    assert main(['bench', 'synth', *arguments]) == 2
    assert 'holds no finished run' in capsys.readouterr().err
    assert calls['runs'] == []


def test_one_run_needs_those_it_starts_from(tmp_path, capsys):
    tiny_plan().save(tmp_path / 'plan.json')
    assert main(['bench', 'run', 'tiny/control/0', '--work', str(tmp_path)]) == 2
    assert 'tiny/base/0, which is not finished' in capsys.readouterr().err


def test_one_run_of_no_plan_says_what_to_do(tmp_path, capsys):
    assert main(['bench', 'run', 'main/control/0', '--work', str(tmp_path)]) == 2
    assert 'mono-distill bench synth' in capsys.readouterr().err


def test_an_interrupt_keeps_what_is_finished(tmp_path, calls, monkeypatch, capsys):
    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(schedule, 'run_all', interrupt)
    assert main(['bench', 'synth', '--work', str(tmp_path)]) == 130
    assert 'finished runs are kept' in capsys.readouterr().out
    assert json.loads((tmp_path / 'plan.json').read_text())

"""The table, the JSON form and the exit status of ``mono-distill doctor``."""

from __future__ import annotations

import json

import pytest

from mono_distill.cli.main import main
from mono_distill.compat import environment
from mono_distill.compat.environment import Check

WELL = Check(name='torch', value='2.13.0', state='ok', cure='')
ODD = Check(name='mmcv', value='2.1.0 (lite)', state='warn', cure='make setup-full')
ILL = Check(name='numpy', value='2.4.0', state='broken', cure="pip install 'numpy<2'")


@pytest.fixture
def doctor(monkeypatch, capsys):
    """Run the command on given checks; return its exit status and what it printed."""

    def run(checks: list[Check], *options: str) -> tuple[int, str]:
        monkeypatch.setattr(environment, 'collect', lambda: checks)
        status = main(['doctor', *options])
        return status, capsys.readouterr().out

    return run


def test_a_healthy_machine_exits_with_0(doctor):
    status, text = doctor([WELL])
    assert status == 0
    assert 'Everything is well.' in text
    assert 'What to do' not in text


def test_a_warning_exits_with_0_and_shows_its_cure(doctor):
    status, text = doctor([WELL, ODD])
    assert status == 0
    assert '  mmcv: make setup-full' in text


def test_something_broken_exits_with_1(doctor):
    status, text = doctor([WELL, ILL, ODD])
    assert status == 1
    assert '1 broken, 1 to keep in mind.' in text


def test_broken_things_are_cured_before_warnings(doctor):
    _, text = doctor([ODD, ILL])
    cures = text[text.index('What to do') :]
    assert cures.index('numpy') < cures.index('mmcv')


def test_names_and_values_stand_in_columns(doctor):
    _, text = doctor([WELL, ILL])
    lines = text.splitlines()
    assert lines[0].index('2.13.0') == lines[1].index('2.4.0')


def test_json_holds_every_field_and_the_same_exit_status(doctor):
    status, text = doctor([WELL, ILL], '--json')
    assert status == 1
    assert json.loads(text) == [
        {'name': 'torch', 'value': '2.13.0', 'state': 'ok', 'cure': ''},
        {'name': 'numpy', 'value': '2.4.0', 'state': 'broken', 'cure': "pip install 'numpy<2'"},
    ]


def test_the_machine_that_runs_the_tests_is_not_broken():
    broken = [check for check in environment.collect() if check.state == 'broken']
    assert broken == []

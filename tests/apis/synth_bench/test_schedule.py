from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest
from bench_worlds import tiny_plan

from mono_distill.apis.synth_bench import schedule
from mono_distill.apis.synth_bench.configs import Folders
from mono_distill.apis.synth_bench.plan import Run
from mono_distill.apis.synth_bench.schedule import finished, run_all
from mono_distill.utils.errors import DataError

PLAN = tiny_plan(('control', 'monoskd'), seeds=2)


@pytest.fixture
def folders(tmp_path):
    PLAN.save(tmp_path / 'plan.json')
    return Folders(tmp_path)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Let a run be a script that says when it began and ended, and writes its result."""

    def use(body=''):
        script = tmp_path / 'stand_in.py'
        # Without the package, whose import takes seconds.
        script.write_text(
            textwrap.dedent("""
            import json, os, signal, sys, time
            from pathlib import Path
            name, fingerprint, result, begun = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
            with begun.open('a') as file:
                print(name, file=file)
            {body}
            result.write_text(json.dumps(dict(fingerprint=fingerprint, seconds=0)))
            """).format(body=body)
        )

        def start(run, folders, command, options):
            folders.run(run).mkdir(parents=True, exist_ok=True)
            folders.result(run).unlink(missing_ok=True)
            with (folders.run(run) / 'log.txt').open('wb') as log:
                known = [PLAN.fingerprint(run), str(folders.result(run)), str(folders.work / 'begun.txt')]
                call = [sys.executable, '-S', str(script), run.id, *known]
                return subprocess.Popen(call, stdout=log, stderr=log)

        monkeypatch.setattr(schedule, '_start', start)
        monkeypatch.setattr(schedule, '_POLL', 0.01)

    return use


def begun(folders):
    file = folders.work / 'begun.txt'
    return file.read_text().split() if file.is_file() else []


def finish(run, folders, fingerprint=None):
    folders.run(run).mkdir(parents=True)
    result = {'fingerprint': fingerprint or PLAN.fingerprint(run), 'seconds': 1}
    folders.result(run).write_text(json.dumps(result))


ALL = ['tiny/base/0', 'tiny/control/0', 'tiny/teacher/0', 'tiny/monoskd/0']


def test_runs_are_executed_in_order_and_each_once(folders, stand_in):
    stand_in()
    runs = PLAN.runs()[:4]
    assert run_all(runs, PLAN, folders) == []
    assert begun(folders) == ALL
    assert all(finished(run, PLAN, folders) for run in runs)


def test_a_finished_run_is_not_run_again(folders, stand_in):
    stand_in()
    finish(Run('tiny', 'base', 0), folders)
    finish(Run('tiny', 'teacher', 0), folders)
    run_all(PLAN.runs()[:4], PLAN, folders)
    assert begun(folders) == ['tiny/control/0', 'tiny/monoskd/0']


def test_a_result_of_another_plan_is_replaced(folders, stand_in):
    stand_in()
    finish(Run('tiny', 'base', 0), folders, fingerprint='old')
    run_all(PLAN.runs()[:1], PLAN, folders)
    assert begun(folders) == ['tiny/base/0']


def test_a_run_that_was_killed_begins_anew(folders, stand_in):
    stand_in(body='os.kill(os.getpid(), signal.SIGKILL)')
    with pytest.raises(DataError, match='tiny/base/0 failed with status -9'):
        run_all(PLAN.runs()[:1], PLAN, folders)
    stand_in()
    run_all(PLAN.runs()[:1], PLAN, folders)
    assert begun(folders) == ['tiny/base/0'] * 2


def test_a_failure_shows_the_last_line_of_its_log(folders, stand_in):
    stand_in(body="sys.exit('no such file')")
    with pytest.raises(DataError, match=r'tiny/base/0 failed with status 1: no such file \(all of it: .*log.txt\)'):
        run_all(PLAN.runs()[:1], PLAN, folders)


def test_a_run_waits_for_what_it_needs_even_if_there_is_room(folders, stand_in):
    base = folders.result(Run('tiny', 'base', 0))
    stand_in(body=f"time.sleep(0.3); assert 'base' in name or Path({str(base)!r}).is_file()")
    run_all(PLAN.runs()[:2], PLAN, folders, workers=2)
    assert begun(folders) == ['tiny/base/0', 'tiny/control/0']


def test_independent_runs_go_side_by_side(folders, stand_in):
    stand_in(body='end = time.time() + 20\nwhile len(begun.read_text().split()) < 2: assert time.time() < end')
    runs = [Run('tiny', 'base', 0), Run('tiny', 'teacher', 0)]
    assert run_all(runs, PLAN, folders, workers=2) == []


def test_no_run_begins_when_time_is_up(folders, stand_in):
    stand_in()
    left = run_all(PLAN.runs()[:4], PLAN, folders, minutes=0)
    assert [run.id for run in left] == ALL
    assert begun(folders) == []


def test_an_interrupt_stops_the_runs_in_hand(folders, stand_in, monkeypatch):
    stand_in(body='time.sleep(60)')

    def interrupt(_seconds):
        if begun(folders):
            raise KeyboardInterrupt

    monkeypatch.setattr(schedule.time, 'sleep', interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_all(PLAN.runs()[:1], PLAN, folders)
    assert finished(PLAN.runs()[0], PLAN, folders) is None


def test_half_a_result_is_none(folders):
    run = Run('tiny', 'base', 0)
    folders.run(run).mkdir(parents=True)
    folders.result(run).write_text('{"fingerprint": ')
    assert finished(run, PLAN, folders) is None

"""Stages in order: what is skipped, what is done again, what an interrupt leaves."""

import pytest

from mono_distill.apis.demo import run as demo_run
from mono_distill.apis.demo.folder import DemoFolder
from mono_distill.apis.demo.options import DemoOptions
from mono_distill.apis.demo.progress import Progress
from mono_distill.apis.demo.stages import Job, Stage


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Two stages of fake jobs and a report; the list takes the names of what ran."""
    names = []

    def jobs(*wanted):
        def make(options, folder):
            return [Job(name, (), lambda log: Progress(0, 0, ''), folder.out / name) for name in wanted]

        return make

    def run_jobs(work, folder, claim, *, workers, watch, stopping, poll):
        for job in work:
            watch({job.name: Progress(1, 2, 'steps')}, 3.0)
            job.product.touch()
            folder.add(job.name, seconds=1, finished=True, command=job.name)
            names.append(job.name)

    def report(options, folder):
        names.append('report')
        folder.report.touch()

    stages = [Stage('data', 'make data', jobs=jobs('world')), Stage('train', 'train', jobs=jobs('teacher', 'student'))]
    monkeypatch.setattr(demo_run, 'all_stages', lambda options: [*stages, Stage('report', 'report', call=report)])
    monkeypatch.setattr(demo_run, 'run_jobs', run_jobs)
    return names


def go(tmp_path, display=lambda status: None):
    return demo_run.run_demo(DemoOptions(tmp_path), display, poll=0)


def test_everything_runs_once(tmp_path, ran):
    go(tmp_path)
    assert ran == ['world', 'teacher', 'student', 'report']
    go(tmp_path)
    assert ran == ['world', 'teacher', 'student', 'report']


def test_states_are_shown_in_order(tmp_path, ran):
    seen = []
    go(tmp_path, lambda status: seen.append((status.number, status.state, tuple(status.jobs))))
    assert seen[:3] == [(1, 'running', ()), (1, 'running', ('world',)), (1, 'finished', ())]
    assert seen[-1] == (3, 'finished', ())
    seen.clear()
    go(tmp_path, lambda status: seen.append((status.number, status.state, tuple(status.jobs))))
    assert seen == [(1, 'skipped', ()), (2, 'skipped', ()), (3, 'skipped', ())]


def test_what_was_removed_is_made_again_and_reported_anew(tmp_path, ran):
    go(tmp_path)
    ran.clear()
    (tmp_path / 'student').unlink()
    go(tmp_path)
    assert ran == ['student', 'report']


def test_an_interrupt_is_passed_on_and_only_the_rest_is_done_next_time(tmp_path, ran):
    def interrupt(status):
        if 'student' in status.jobs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, interrupt)
    assert ran == ['world', 'teacher']
    entry = DemoFolder(tmp_path).entry('stage_train')
    assert entry['seconds'] > 0
    assert not entry['finished']
    go(tmp_path)
    assert ran == ['world', 'teacher', 'student', 'report']

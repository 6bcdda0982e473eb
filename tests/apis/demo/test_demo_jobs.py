"""Commands side by side: records, failures, interrupts."""

import os
import signal
import sys
import time

import pytest

from mono_distill.apis.demo import jobs
from mono_distill.apis.demo.folder import DemoFolder
from mono_distill.apis.demo.progress import Progress
from mono_distill.apis.demo.stages import Job


@pytest.fixture(autouse=True)
def _python_code_as_command(monkeypatch):
    monkeypatch.setattr(jobs, 'COMMAND', (sys.executable, '-c'))


@pytest.fixture
def folder(tmp_path):
    return DemoFolder(tmp_path)


def job(folder, name, code, **environment):
    code = f'import os, pathlib, time, signal; {code}'
    return Job(name, (code,), lambda log: Progress(1, 2, 'steps'), folder.out / f'{name}.done', environment)


def touch(name):
    return f'pathlib.Path("{name}").touch()'


def run(folder, *work, workers=2, watch=lambda progress, left: None, stopping=lambda: None):
    with (folder.out / 'claim').open('w') as claim:
        jobs.run_jobs(work, folder, claim.fileno(), workers=workers, watch=watch, stopping=stopping, poll=0.02)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_job_that_succeeds_is_finished_and_its_output_is_kept(folder):
    one = job(folder, 'one', f'print(os.environ["COLOUR"]); {touch(folder.out / "one.done")}', COLOUR='green')
    assert not jobs.is_finished(one, folder)
    run(folder, one)
    assert jobs.is_finished(one, folder)
    assert 'green' in folder.log('one').read_text()
    assert folder.entry('one')['seconds'] > 0


def test_a_job_whose_product_was_removed_is_not_finished(folder):
    one = job(folder, 'one', touch(folder.out / 'one.done'))
    run(folder, one)
    one.product.unlink()
    assert not jobs.is_finished(one, folder)


@pytest.mark.parametrize(('workers', 'expected'), [(1, 1), (2, 2)])
def test_as_many_jobs_as_workers_run_at_a_time(folder, workers, expected):
    seen = []
    work = [job(folder, name, f'time.sleep(0.3); {touch(folder.out / f"{name}.done")}') for name in 'abc']
    run(folder, *work, workers=workers, watch=lambda progress, left: seen.append(len(progress)))
    assert max(seen) == expected
    assert all(jobs.is_finished(one, folder) for one in work)


def test_a_failure_names_its_log_shows_its_end_and_stops_the_others(folder):
    bad = job(folder, 'bad', 'raise SystemExit("no space left on device")')
    slow = job(folder, 'slow', f'pathlib.Path("{folder.out}/pid").write_text(str(os.getpid())); time.sleep(60)')
    with pytest.raises(jobs.StageError, match='no space left on device') as caught:
        run(folder, slow, bad)
    assert str(folder.log('bad')) in str(caught.value)
    assert not jobs.is_finished(bad, folder)
    assert not jobs.is_finished(slow, folder)
    pid = folder.out / 'pid'
    assert not pid.exists() or not alive(int(pid.read_text()))


def test_a_job_without_its_product_has_failed(folder):
    with pytest.raises(jobs.StageError, match=r'\(lazy\) ended with status 0'):
        run(folder, job(folder, 'lazy', 'pass'))


def test_a_job_that_was_killed_says_by_what(folder):
    with pytest.raises(jobs.StageError, match=r'\(shot\) was ended by SIGKILL'):
        run(folder, job(folder, 'shot', 'os.kill(os.getpid(), signal.SIGKILL)'))


def test_an_interrupt_lets_jobs_end_in_order_and_is_passed_on(folder):
    tidy = (
        f'signal.signal(signal.SIGINT, lambda *_: (pathlib.Path("{folder.out}/tidied").touch(), os._exit(130))); '
        f'{touch(folder.out / "ready")}; time.sleep(60)'
    )

    def interrupt(progress, left):
        if (folder.out / 'ready').exists():
            raise KeyboardInterrupt

    said = []
    with pytest.raises(KeyboardInterrupt):
        run(folder, job(folder, 'tidy', tidy), watch=interrupt, stopping=lambda: said.append('stopping'))
    assert said == ['stopping']
    assert (folder.out / 'tidied').exists()
    assert not folder.entry('tidy')['finished']
    assert folder.entry('tidy')['seconds'] > 0


def test_where_interrupts_are_ignored_jobs_are_terminated_at_once(folder):
    quiet = f'{touch(folder.out / "ready")}; time.sleep(60)'

    def interrupt(progress, left):
        if (folder.out / 'ready').exists():
            raise KeyboardInterrupt

    began = time.monotonic()
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(folder, job(folder, 'quiet', quiet), watch=interrupt)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert time.monotonic() - began < jobs._PATIENCE[signal.SIGINT]


def test_a_job_that_ignores_an_interrupt_is_killed(folder, monkeypatch):
    monkeypatch.setattr(jobs, '_PATIENCE', {signal.SIGINT: 0.1, signal.SIGTERM: 0.1})
    deaf = (
        'signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN); '
        f'pathlib.Path("{folder.out}/pid").write_text(str(os.getpid())); time.sleep(60)'
    )

    def interrupt(progress, left):
        if (folder.out / 'pid').exists():
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(folder, job(folder, 'deaf', deaf), watch=interrupt)
    assert time.monotonic() - began < 10
    assert not alive(int((folder.out / 'pid').read_text()))

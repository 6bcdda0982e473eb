from __future__ import annotations

import os
import signal
from contextlib import closing

import pytest
from process_jobs import die, fail, slow_square, threads_and_process, work_until_stopped

from mono_distill.utils.errors import ConfigError, DataError
from mono_distill.utils.processes import map_in_processes, stopping


@pytest.mark.parametrize('workers', [1, 2])
def test_results_come_in_the_order_of_the_items(workers):
    assert list(map_in_processes(slow_square, range(5), workers=workers)) == [0, 1, 4, 9, 16]


def test_no_items_give_no_results():
    assert list(map_in_processes(slow_square, [], workers=2)) == []


def test_workers_have_one_thread_and_this_process_keeps_its_own(monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.delenv('NUMBA_NUM_THREADS', raising=False)
    results = list(map_in_processes(threads_and_process, range(4), workers=2))
    assert all(set(environment.values()) == {'1'} for environment, _ in results)
    assert os.getpid() not in {process for _, process in results}
    assert 'NUMBA_NUM_THREADS' not in os.environ


def test_less_than_one_worker_is_refused():
    with pytest.raises(ConfigError, match='workers must be at least 1, got 0'):
        list(map_in_processes(slow_square, [1], workers=0))


def test_dead_worker_is_reported():
    with pytest.raises(DataError, match='a worker process died.*fewer --workers'):
        list(map_in_processes(die, range(4), workers=2))


def test_errors_of_the_work_pass_through():
    with pytest.raises(DataError, match='item 0 is faulty'):
        list(map_in_processes(fail, range(4), workers=2))


@pytest.fixture
def alarm():
    """Call a function again and again, as a signal would."""
    previous = signal.getsignal(signal.SIGALRM)

    def start(call):
        signal.signal(signal.SIGALRM, lambda _number, _stack: call())
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)

    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


def test_interrupt_stops_long_work_and_waits_for_it(tmp_path, alarm):
    def interrupt():
        if any(tmp_path.glob('begun_*')):
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    with closing(map_in_processes(work_until_stopped, [str(tmp_path)] * 6, workers=2)) as stream:
        alarm(interrupt)
        with pytest.raises(KeyboardInterrupt):
            next(stream)
    begun, ended = (len(list(tmp_path.glob(f'{what}_*'))) for what in ('begun', 'ended'))
    assert 1 <= begun == ended <= 2


def test_nothing_stops_outside_a_worker():
    assert not stopping()

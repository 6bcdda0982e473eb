from __future__ import annotations

import os
import signal
import threading

import pytest

from mono_distill.cli.long_runs import MAX_DEFAULT_WORKERS, default_workers, termination_as_interrupt


def test_default_number_of_workers_is_within_the_cores_of_this_process(monkeypatch):
    assert 1 <= default_workers() <= MAX_DEFAULT_WORKERS
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(3)), raising=False)
    assert default_workers() == 3
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(64)), raising=False)
    assert default_workers() == MAX_DEFAULT_WORKERS


def test_termination_interrupts_and_the_former_answer_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), termination_as_interrupt():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_leave_signals_alone():
    seen = []

    def work():
        with termination_as_interrupt():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]

"""What commands share that run for minutes or hours: interrupts that lose nothing, the number of processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

# Exit status of a command that was stopped with Ctrl-C or SIGTERM.
INTERRUPTED = 130
# More processes than this wait for the disk rather than for each other's results.
MAX_DEFAULT_WORKERS = 8


def default_workers() -> int:
    """Return the number of cores this process may use, at most eight."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return min(cores, MAX_DEFAULT_WORKERS)


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Answer SIGTERM, which batch systems send, as orderly as Ctrl-C."""

    def interrupt(_number: int, _stack: object) -> None:
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        # Signals can be set in the main thread only; elsewhere the caller is in charge of them.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)

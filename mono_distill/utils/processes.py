"""Work that is spread over processes: results in order, no orphans, an orderly end after Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from typing import TypeVar

import cv2

from mono_distill.utils.errors import ConfigError, DataError

Item = TypeVar('Item')
Result = TypeVar('Result')

# Processes side by side use every core already; threads of their own would only wait for each other.
ONE_THREAD = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS', 'NUMBA_NUM_THREADS')

_stop: Event | None = None


def map_in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], *, workers: int, preload: Sequence[str] = ()
) -> Generator[Result, None, None]:
    """Yield ``work(item)`` in the order of the items.

    Close the generator (:func:`contextlib.closing`) to stop early, as after an interrupt: items in hand are finished,
    no further ones are begun, and the workers have ended when ``close`` returns. Long work may ask :func:`stopping`
    between its steps. A worker ends when its parent is gone, and runs one thread.

    Args:
        work: Function that can be pickled, as can its arguments and results.
        items: What to work on.
        workers: Number of processes; 1 works in this one.
        preload: Modules to import once in the server of the processes instead of once in every worker.

    Raises:
        ConfigError: If ``workers`` is below 1.
        DataError: If a worker died.

    Example:
        >>> list(map_in_processes(abs, [-1, 2, -3], workers=1))
        [1, 2, 3]
    """
    check_workers(workers)
    if workers == 1 or len(items) < 2:
        yield from map(work, items)
        return
    context = _process_context(preload)
    stop = context.Event()
    count = min(workers, len(items))
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker, initargs=(stop,))
    try:
        with _one_thread_each():
            # One item at a time: larger chunks save little and would all be finished after an interrupt.
            results = executor.map(work, items)
        yield from results
    except BrokenProcessPool as error:
        raise DataError(
            'a worker process died, most likely for lack of memory; run again with fewer --workers, '
            'what is done already is kept'
        ) from error
    finally:
        stop.set()
        executor.shutdown(wait=True, cancel_futures=True)


def check_workers(workers: int) -> None:
    """Raise a ConfigError if the number of processes is below 1."""
    if workers < 1:
        raise ConfigError(f'workers must be at least 1, got {workers}')


def stopping() -> bool:
    """Whether the work was called off: inside a worker, after the parent was interrupted or met an error."""
    return _stop is not None and _stop.is_set()


def _process_context(preload: Sequence[str]) -> multiprocessing.context.BaseContext:
    """Return a start method that never forks this process, whose threads and locks could be in any state."""
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(list(preload))
    return context


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start within the block use one thread; what the user has set stays."""
    added = [name for name in ONE_THREAD if name not in os.environ]
    os.environ.update(dict.fromkeys(added, '1'))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _start_worker(stop: Event) -> None:
    """Set up a worker process."""
    global _stop
    _stop = stop
    # Ctrl-C reaches the whole process group; the parent answers it and lets the workers finish what is in hand.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End this worker when its parent is gone; a killed parent cannot tell its workers to stop."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

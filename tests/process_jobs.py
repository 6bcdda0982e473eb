"""Work for the tests of processes; workers import it by this name."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mono_distill.utils.errors import DataError
from mono_distill.utils.processes import ONE_THREAD, stopping


def slow_square(number):
    time.sleep(0.05 * (number == 0))
    return number**2


def threads_and_process(_item):
    return {name: os.environ.get(name) for name in ONE_THREAD}, os.getpid()


def die(_item):
    os._exit(3)


def fail(item):
    raise DataError(f'item {item} is faulty')


def work_until_stopped(folder):
    Path(folder, f'begun_{os.getpid()}').touch()
    deadline = time.monotonic() + 30
    while not stopping() and time.monotonic() < deadline:
        time.sleep(0.01)
    Path(folder, f'ended_{os.getpid()}').touch()

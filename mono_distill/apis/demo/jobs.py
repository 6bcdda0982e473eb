"""Commands at work: side by side, watched, recorded, and stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from mono_distill.apis.demo.folder import DemoFolder
from mono_distill.apis.demo.progress import Clock, Progress, tail
from mono_distill.apis.demo.stages import Job
from mono_distill.utils.errors import MonoDistillError

COMMAND = (sys.executable, '-m', 'mono_distill.cli.main')
# Memory of one step stays with the process for the next one; glibc gives large blocks back to the system every time.
_KEEP_MEMORY = {
    'MALLOC_MMAP_THRESHOLD_': str(2**30),
    'MALLOC_TRIM_THRESHOLD_': str(2**32),
    'MALLOC_TOP_PAD_': str(2**26),
}
# Seconds that a job gets to end after an interrupt, and then after SIGTERM.
_PATIENCE = {signal.SIGINT: 20.0, signal.SIGTERM: 5.0}
_ERROR_LINES = 5
_LINE_LENGTH = 200

Watcher = Callable[[Mapping[str, Progress], 'float | None'], None]
"""Takes the progress of the running jobs by name, and the estimated seconds until all of them end."""


class StageError(MonoDistillError, RuntimeError):
    """A command of the demo failed."""


def is_finished(job: Job, folder: DemoFolder) -> bool:
    """Whether an earlier run finished a job and what it made is still there."""
    return bool(folder.entry(job.name)['finished']) and job.product.exists()


def run_jobs(
    jobs: Sequence[Job],
    folder: DemoFolder,
    claim: int,
    *,
    workers: int,
    watch: Watcher,
    stopping: Callable[[], None] = lambda: None,
    poll: float = 0.5,
) -> None:
    """Run jobs, some at a time; stop all when one fails or this process is interrupted.

    Args:
        jobs: What to run.
        folder: Takes logs and records.
        claim: Open file that every job inherits.
        workers: How many jobs run side by side.
        watch: Called every ``poll`` seconds.
        stopping: Called when jobs have to be stopped, which may take some seconds.
        poll: Seconds.

    Raises:
        StageError: A job failed; the message names its log.
    """
    waiting = deque(jobs)
    running: list[_Running] = []
    cores = _cores_each(min(workers, len(jobs)))
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_Running(waiting.popleft(), folder, claim, cores))
            time.sleep(poll)
            watch(*_look(running))
            for ended in [one for one in running if one.ended()]:
                running.remove(ended)
                ended.record()
                ended.check()
    finally:
        if running:
            stopping()
        _stop(running)


class _Running:
    """A job at work."""

    def __init__(self, job: Job, folder: DemoFolder, claim: int, cores: int) -> None:
        self.job = job
        self.folder = folder
        self.log = folder.log(job.name)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.clock = Clock()
        self.began = time.monotonic()
        self._file: IO[bytes] = self.log.open('wb')
        self._file.write(f'$ {job.command}\n'.encode())
        self._file.flush()
        self.process = subprocess.Popen(
            [*COMMAND, *job.arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_KEEP_MEMORY, 'OMP_NUM_THREADS': str(cores), **job.environment},
            pass_fds=(claim,),
            # A group of its own: Ctrl-C reaches this process alone, which then stops the jobs in order.
            start_new_session=True,
        )

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def succeeded(self) -> bool:
        """Whether the ended process did its work."""
        return self.process.returncode == 0 and self.job.product.exists()

    def record(self) -> None:
        """Record the time and, if the job succeeded, that it is finished."""
        self._file.close()
        seconds = time.monotonic() - self.began
        self.folder.add(self.job.name, seconds=seconds, finished=self.succeeded(), command=self.job.command)

    def check(self) -> None:
        """Raise a StageError unless the ended job succeeded."""
        if self.succeeded():
            return
        lines = tail(self.log).strip().splitlines()[-_ERROR_LINES:]
        end = '\n'.join(f'  {line[:_LINE_LENGTH]}' for line in lines)
        raise StageError(
            f"'mono-distill {self.job.arguments[0]}' ({self.job.name}) {_ending(self.process.returncode)}. "
            f'Its log is {self.log} and ends with\n{end}\nWhat is finished is kept: once the cause is mended, the same '
            'command goes on from here.'
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the job and all its processes."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return


def _look(running: Sequence[_Running]) -> tuple[dict[str, Progress], float | None]:
    """Return the progress of every job, and the seconds until the slowest of them ends."""
    jobs: dict[str, Progress] = {}
    left: list[float] = []
    for one in running:
        jobs[one.job.name] = progress = one.job.measure(one.log)
        seconds = one.clock.left(time.monotonic(), progress)
        left += [] if seconds is None else [seconds]
    return jobs, max(left) if len(left) == len(running) else None


def _stop(running: Sequence[_Running]) -> None:
    """Stop jobs: an interrupt first, so that they can end in order; a second Ctrl-C kills them at once."""
    signals = dict(_PATIENCE)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As shells start the background commands of a script; jobs inherit it and would not hear an interrupt.
        del signals[signal.SIGINT]
    try:
        for number, patience in signals.items():
            for one in running:
                if not one.ended():
                    one.signal(number)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline and not all(one.ended() for one in running):
                time.sleep(0.05)
    finally:
        for one in running:
            # The group, not only the process: workers of a killed parent must not stay behind.
            one.signal(signal.SIGKILL)
            one.process.wait()
            one.record()


def _ending(status: int) -> str:
    """Say how a process ended.

    Example:
        >>> _ending(2), _ending(-9)
        ('ended with status 2', 'was ended by SIGKILL')
    """
    return f'ended with status {status}' if status >= 0 else f'was ended by {signal.Signals(-status).name}'


def _cores_each(jobs: int) -> int:
    """Return how many threads each of several jobs may use that run side by side."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return max(1, cores // max(jobs, 1))

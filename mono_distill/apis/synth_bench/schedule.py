"""Several runs side by side, each in a process of its own with one thread; finished runs are kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from mono_distill.apis.synth_bench.configs import Folders
from mono_distill.apis.synth_bench.plan import Run
from mono_distill.utils.errors import DataError

# One thread a run: two runs of one thread are faster than one run of two. Blocks of activations stay with the process
# instead of going back to the kernel at every step, which glibc's default does with large ones.
ENVIRONMENT = {
    'OMP_NUM_THREADS': '1',
    'MKL_NUM_THREADS': '1',
    'NUMBA_NUM_THREADS': '1',
    'MALLOC_MMAP_THRESHOLD_': str(2**30),
    'MALLOC_TRIM_THRESHOLD_': str(2**32),
    'MALLOC_TOP_PAD_': str(2**26),
}
_POLL = 0.5

Say = Callable[[str], None]
# What begins one run in a process of its own: followed by its id and the work folder.
RUN_COMMAND = ('bench', 'run')


class RunPlan(Protocol):
    """What is asked about runs: those they need, and a digest of everything their results depend on."""

    def needs(self, run: Run) -> list[Run]:
        """Runs that have to be finished before."""
        ...

    def fingerprint(self, run: Run) -> str:
        """A finished run with another one is stale."""
        ...


def finished(run: Run, plan: RunPlan, folders: Folders) -> dict[str, Any] | None:
    """Return the result of a run that is there and belongs to this plan, or ``None``."""
    try:
        result: dict[str, Any] = json.loads(folders.result(run).read_text())
    except (OSError, ValueError):
        return None
    return result if result.get('fingerprint') == plan.fingerprint(run) else None


def run_all(
    runs: Sequence[Run],
    plan: RunPlan,
    folders: Folders,
    *,
    workers: int = 1,
    command: Sequence[str] = RUN_COMMAND,
    options: Sequence[str] = (),
    minutes: float | None = None,
    say: Say | None = None,
) -> list[Run]:
    """Execute what is not finished yet, as far as possible in the order given.

    Interrupted, the runs in hand are stopped; they begin anew the next time.

    Args:
        runs: The runs, with those they need.
        plan: Their plan, which is in the work folder.
        folders: The work folder.
        workers: Runs side by side.
        command: What executes one run: arguments of ``mono-distill``, before the run's id.
        options: Further options of that command.
        minutes: Begin no run after so many minutes.
        say: Takes a line about every run that begins or ends.

    Returns:
        The runs that were not begun for lack of time.

    Raises:
        DataError: A run failed; the message names its log.
    """
    say = say or (lambda _line: None)
    waiting = [run for run in runs if finished(run, plan, folders) is None]
    say(f'{len(runs) - len(waiting)} of {len(runs)} runs are finished')
    active: dict[Run, subprocess.Popen[bytes]] = {}
    began = time.monotonic()
    try:
        while waiting or active:
            for run in [run for run, process in active.items() if process.poll() is not None]:
                _close(run, active.pop(run), plan, folders, say)
            late = minutes is not None and time.monotonic() - began > 60 * minutes
            if late and not active:
                return waiting
            ready = (run for run in waiting if all(finished(need, plan, folders) for need in plan.needs(run)))
            chosen = next(ready, None) if len(active) < workers and not late else None
            if chosen is None:
                time.sleep(_POLL)
                continue
            waiting.remove(chosen)
            active[chosen] = _start(chosen, folders, command, options)
            say(f'{chosen.id} begins')
    finally:
        for process in active.values():
            process.terminate()
        for process in active.values():
            process.wait()
    return []


def _start(run: Run, folders: Folders, command: Sequence[str], options: Sequence[str]) -> subprocess.Popen[bytes]:
    folder = folders.run(run)
    folder.mkdir(parents=True, exist_ok=True)
    # A result of another plan must not be taken for this run's.
    folders.result(run).unlink(missing_ok=True)
    call = [sys.executable, '-m', 'mono_distill.cli.main', *command, run.id, '--work', str(folders.work)]
    with (folder / 'log.txt').open('wb') as log:
        # In a session of its own: Ctrl-C reaches this process alone, which then stops the runs.
        return subprocess.Popen(
            [*call, *options],
            env={**os.environ, **ENVIRONMENT},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _close(run: Run, process: subprocess.Popen[bytes], plan: RunPlan, folders: Folders, say: Say) -> None:
    result = finished(run, plan, folders)
    if process.returncode == 0 and result is None:
        raise DataError(
            f'{run.id} has ended, but for another plan than this: the file was changed meanwhile; start again'
        )
    if process.returncode != 0 or result is None:
        log = folders.run(run) / 'log.txt'
        raise DataError(f'{run.id} failed with status {process.returncode}: {_last_line(log)} (all of it: {log})')
    say(f'{run.id} ends after {result["seconds"]:.0f} s')


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors='replace').splitlines() if line.strip()]
    return lines[-1] if lines else 'its log is empty'

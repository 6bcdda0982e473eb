"""``mono-distill demo``: made-up driving data, a teacher, a student, a distillation and a report of it."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mono_distill.cli.long_runs import INTERRUPTED, default_workers, termination_as_interrupt

if TYPE_CHECKING:
    from mono_distill.apis.demo.options import DemoOptions
    from mono_distill.apis.demo.run import Status

TEXT = """\
Generates driving scenes in KITTI's format, prepares them, trains a LiDAR teacher and a camera student side by side,
distils the student with MonoSKD (beside it the same student is trained on without a teacher), evaluates all of them,
prints a table and writes OUT/report.html. About ten minutes on two cores. Interrupted at any point, the same
command goes on where it was.
"""
# Where the output is not a terminal, a line about the progress is printed that often.
_LINE_EVERY = 15.0
_FAST = {'frames': 60, 'train_steps': 240, 'distil_steps': 120}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = TEXT
    parser.add_argument('--out', type=Path, default=Path('work_dirs/demo'), help='folder (default: %(default)s)')
    parser.add_argument('--frames', type=int, help='frames to generate; a quarter of them is for validation')
    parser.add_argument('--seed', type=int, help='seed of the world and of the trainings (default: 0)')
    parser.add_argument('--train-steps', type=int, help='steps of the teacher and of the student')
    parser.add_argument('--distil-steps', type=int, help='steps of the distillation')
    parser.add_argument('--workers', type=int, help='processes side by side (default: the cores, at most 8)')
    parser.add_argument(
        '--fast', action='store_true', help='a few frames and steps: shows that everything runs, and nothing else'
    )
    parser.add_argument(
        '--kitti-root', type=Path, help="your own frames in KITTI's layout instead of generated ones (only read)"
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 0, or 130 if it was interrupted."""
    from mono_distill.apis.demo.results import read_rows, text_table
    from mono_distill.apis.demo.run import run_demo

    options = demo_options(args)
    display = Display()
    try:
        with termination_as_interrupt():
            folder = run_demo(options, display)
    except KeyboardInterrupt:
        display.break_line()
        print('interrupted; what is done is kept (a training goes on from its last checkpoint, some seconds ago).')
        print(f'Continue with the same command: {invocation(args)}')
        return INTERRUPTED
    finally:
        display.break_line()
    print(f'\nCars, moderate, AP40 in percent (one seed):\n\n{text_table(read_rows(folder))}\n')
    print(f'report: {folder.report}')
    return 0


def demo_options(args: argparse.Namespace) -> DemoOptions:
    """Return the options; what is not given comes from ``--fast`` or from the defaults."""
    from mono_distill.apis.demo.options import DemoOptions

    given = {name: getattr(args, name) for name in ('frames', 'seed', 'train_steps', 'distil_steps', 'kitti_root')}
    chosen = {name: value for name, value in given.items() if value is not None}
    workers = default_workers() if args.workers is None else args.workers
    return DemoOptions(out=args.out, workers=workers, **((_FAST if args.fast else {}) | chosen))


def invocation(args: argparse.Namespace) -> str:
    """Return the command line that continues a run."""
    words = ['mono-distill', 'demo']
    for name in ('out', 'frames', 'seed', 'train_steps', 'distil_steps', 'workers', 'kitti_root'):
        value = getattr(args, name)
        if value is not None:
            words += [f'--{name.replace("_", "-")}', str(value)]
    return shlex.join([*words, *(['--fast'] if args.fast else [])])


class Display:
    """Shows where the run is: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, terminal: bool | None = None, line_every: float = _LINE_EVERY) -> None:
        self._terminal = sys.stdout.isatty() if terminal is None else terminal
        self._line_every = line_every
        self._last_line = time.monotonic()
        self._open = False

    def __call__(self, status: Status) -> None:
        """Show a status."""
        if status.state == 'running' and not status.jobs:
            self._write(f'{_place(status)} {status.title}', keep=True)
        elif status.state == 'running':
            self._write(progress_line(status), keep=False)
        else:
            words = {'skipped': f'{status.title}: done before', 'stopping': 'stopping', 'finished': 'done'}[
                status.state
            ]
            self._write(f'{_place(status)} {words} ({_clock(status.seconds)})', keep=True)

    def break_line(self) -> None:
        """End the line that is being changed, if any."""
        if self._open:
            print(flush=True)
        self._open = False

    def _write(self, text: str, *, keep: bool) -> None:
        now = time.monotonic()
        if self._terminal:
            # Erase the line, write, and stay on it unless it is to be kept. A line that wraps could not be erased.
            shown = text if keep else text[: shutil.get_terminal_size().columns - 1]
            print(f'\r\033[K{shown}', end='\n' if keep else '', flush=True)
            self._open = not keep
        elif keep or now - self._last_line >= self._line_every:
            print(text, flush=True)
        else:
            return
        self._last_line = now


def progress_line(status: Status) -> str:
    """Return one line: every job's progress, the estimated rest of the stage, the time since the start."""
    parts = []
    for name, progress in status.jobs.items():
        of = f'/{progress.total}' if progress.total else ''
        done = f'{progress.done}{of} {progress.unit}' if progress.done else 'starting'
        parts.append(f'{name} {done}' + (f' {progress.note}' if progress.note else ''))
    left = '' if status.left is None else f' | {_clock(status.left)} left'
    return f'{_place(status)} {", ".join(parts)}{left} | {_clock(status.elapsed)} elapsed'


def _place(status: Status) -> str:
    return f'[{status.number}/{status.count}]'


def _clock(seconds: float) -> str:
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'

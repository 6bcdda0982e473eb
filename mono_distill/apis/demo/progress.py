"""How far a job is, from what it has written so far."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Lines are a few hundred characters; the last one of interest is within this many bytes of the end.
_TAIL_BYTES = 16_384
_TRAIN = re.compile(r'Epoch\(train\)\s+\[\s*(\d+)\]\[\s*(\d+)/(\d+)\].*?\bloss: ([\d.]+)')
_TEST = re.compile(r'Epoch\(test\)\s+\[\s*(\d+)/(\d+)\]')


@dataclass(frozen=True)
class Progress:
    """Parts done of a job.

    Attributes:
        done: Parts that are done.
        total: Parts in all; 0 where it is not known.
        unit: What a part is.
        note: Something worth showing, such as the loss.
    """

    done: int
    total: int
    unit: str
    note: str = ''


Measure = Callable[[Path], Progress]
"""From the log of a job to its progress."""


def files_in(folder: Path, pattern: str, total: int) -> Measure:
    """Count the files of a job that writes one per frame."""

    def measure(_log: Path) -> Progress:
        return Progress(sum(1 for _ in folder.glob(pattern)) if folder.is_dir() else 0, total, 'frames')

    return measure


def training_steps(epochs: int, steps: int) -> Measure:
    """Read the step and the loss from mmengine's log of a training."""

    def measure(log: Path) -> Progress:
        found = _TRAIN.findall(tail(log))
        if not found:
            return Progress(0, steps, 'steps')
        epoch, step, length, loss = found[-1]
        done = (int(epoch) - 1) * int(length) + int(step)
        return Progress(done, epochs * int(length), 'steps', f'loss {float(loss):.2f}')

    return measure


def test_batches(log: Path) -> Progress:
    """Read the batch from mmengine's log of a test."""
    found = _TEST.findall(tail(log))
    return Progress(int(found[-1][0]), int(found[-1][1]), 'batches') if found else Progress(0, 0, 'batches')


def tail(log: Path, size: int = _TAIL_BYTES) -> str:
    """Return the end of a text file, '' if there is none."""
    try:
        with log.open('rb') as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - size))
            return file.read().decode('utf-8', 'replace')
    except FileNotFoundError:
        return ''


class Clock:
    """Estimates the time left from the parts done since the first reading."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def left(self, now: float, progress: Progress) -> float | None:
        """Return the seconds left; None while nothing can be said.

        Args:
            now: Seconds of any steady clock.
            progress: Reading at that time.
        """
        if progress.done <= 0:
            return None
        if self._first is None:
            self._first = now, progress.done
        began, base = self._first
        if progress.done <= base or progress.total < progress.done:
            return None
        return (progress.total - progress.done) * (now - began) / (progress.done - base)

"""Timing a part of a training step without making the GPU wait."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Measures the time between :meth:`start` and :meth:`stop`.

    On CUDA two events are recorded and read at the next start, when they have long passed; elsewhere it is wall time.

    Attributes:
        milliseconds: The last complete measurement, 0 before the first.
    """

    def __init__(self) -> None:
        self.milliseconds = 0.0
        self._began = 0.0
        self._events: tuple[torch.cuda.Event, torch.cuda.Event] | None = None

    def start(self, device: torch.device) -> None:
        """Begin a measurement of work on ``device``."""
        if device.type != 'cuda':
            self._began = time.perf_counter()
            return
        if self._events is not None and self._events[1].query():
            self.milliseconds = self._events[0].elapsed_time(self._events[1])
        self._events = (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))
        self._events[0].record()

    def stop(self, device: torch.device) -> None:
        """End the measurement."""
        if device.type != 'cuda':
            self.milliseconds = (time.perf_counter() - self._began) * 1e3
        elif self._events is not None:
            self._events[1].record()

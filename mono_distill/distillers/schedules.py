"""Loss weights over training time, as pure functions of the progress (so that resuming is exact)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mono_distill.utils.errors import ConfigError

_KINDS = ('constant', 'linear', 'cosine')


@dataclass(frozen=True)
class Schedule:
    """A factor on a loss weight: ``start`` before ``begin``, ``end`` from ``until`` on, and ``kind`` between.

    Attributes:
        kind: ``'linear'``, ``'cosine'`` (half a period), or ``'constant'`` (``start`` until ``until``, then ``end``).
        begin: When the change begins, in epochs (fractions count) or iterations.
        until: When it ends.
        start: Factor before ``begin``.
        end: Factor from ``until`` on.
        by_epoch: Whether ``begin`` and ``until`` are epochs (the default) or iterations.

    Raises:
        ConfigError: Unknown ``kind``, or ``until`` before ``begin``.

    Example:
        >>> ramp = Schedule(kind='linear', begin=0, until=10, start=0.0, end=1.0)
        >>> ramp.factor(epoch=2.5, iteration=0)
        0.25
    """

    kind: str = 'linear'
    begin: float = 0.0
    until: float = 0.0
    start: float = 1.0
    end: float = 1.0
    by_epoch: bool = True

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ConfigError(f"schedule kind must be one of {', '.join(_KINDS)}, not '{self.kind}'")
        if not all(isinstance(value, (int, float)) for value in (self.begin, self.until, self.start, self.end)):
            raise ConfigError(f'schedule: begin, until, start and end must be numbers, got {self}')
        if self.until < self.begin:
            raise ConfigError(f'schedule ends at {self.until}, before it begins at {self.begin}')

    def factor(self, epoch: float, iteration: int) -> float:
        """Return the factor at a point of the training (``epoch`` counts from 0 and may be fractional)."""
        now = epoch if self.by_epoch else float(iteration)
        if now >= self.until:
            return self.end
        if now < self.begin or self.kind == 'constant':
            return self.start
        done = (now - self.begin) / (self.until - self.begin)
        if self.kind == 'cosine':
            done = (1 - math.cos(math.pi * done)) / 2
        return self.start + (self.end - self.start) * done

    def is_over(self, epoch: float, iteration: int) -> bool:
        """Whether the factor is zero now and will stay zero."""
        now = epoch if self.by_epoch else float(iteration)
        return self.end == 0 and now >= self.until

"""Errors that say what was wrong, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MonoDistillError(Exception):
    """Base of every error the package raises on purpose; the command line prints it without a traceback."""


class ConfigError(MonoDistillError, ValueError):
    """A config names something that does not exist, or combines things that do not fit."""


class ShapeError(MonoDistillError, ValueError):
    """Two tensors that must agree do not."""


class DataError(MonoDistillError, ValueError):
    """A data file is missing, unreadable or inconsistent."""


class CheckpointError(MonoDistillError, ValueError):
    """A checkpoint is missing, broken, unsafe to load or does not belong to the model."""


class NonFiniteError(MonoDistillError, ArithmeticError):
    """A loss became NaN or infinite."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the closest known spellings and lists what exists.

    Example:
        >>> did_you_mean('spearmann', ['spearman', 'affinity'])
        "did you mean 'spearman'? Known: affinity, spearman."
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    listing = f'Known: {", ".join(names)}.' if names else 'Nothing is defined.'
    return f"did you mean '{close[0]}'? {listing}" if close else listing

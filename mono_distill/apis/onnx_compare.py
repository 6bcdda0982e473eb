"""Compare two lists of candidates whose order may differ where their heat is the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_distill.models.task_modules.mono_center_coder import HEAT_EPS

Candidates = Mapping[str, NDArray]
# Rounding may turn the order of heats that are closer than this.
_SAME_HEAT = 1e-5


@dataclass(frozen=True)
class Comparison:
    """How far two lists are apart.

    Attributes:
        compared: Candidates that were compared.
        relative: Largest difference of a number, divided by one plus its size.
        absolute: Largest absolute difference of every output.
    """

    compared: int
    relative: float
    absolute: dict[str, float]


def compare_candidates(expected: Candidates, got: Candidates) -> Comparison:
    """Compare the candidates of one image.

    Every expected candidate is compared with that of the other list that resembles it most, because equal heats may be
    sorted either way. Left out are those whose heat is at one of its bounds or next to that of the last candidate:
    which of several cells of the same heat is among the K is chance. Heats themselves are compared in order.

    Args:
        expected: ``heat`` (K,) and other outputs (K, ...).
        got: The same.

    Returns:
        The differences; infinite where something is not finite.

    Example:
        >>> heat = np.array([0.9, 0.9, 0.1])
        >>> one, other = {'heat': heat, 'x': np.array([1.0, 2.0, 3.0])}, {'heat': heat, 'x': np.array([2.0, 1.5, 3.0])}
        >>> compare_candidates(one, other)
        Comparison(compared=2, relative=0.25, absolute={'heat': 0.0, 'x': 0.5})
    """
    bound = 1.5 * HEAT_EPS
    lowest = max(bound, float(expected['heat'].min(initial=1.0)) + _SAME_HEAT)
    rows = np.flatnonzero((expected['heat'] > lowest) & (expected['heat'] < 1 - bound))
    heat = _difference(expected['heat'], got['heat'], 'heat')
    absolute = {'heat': float(heat.max(initial=0.0))}
    relative = absolute['heat']
    if len(rows):
        apart = {
            name: _difference(_columns(value)[rows, None], _columns(got[name])[None], name)
            for name, value in expected.items()
            if name != 'heat'
        }
        scaled = np.stack(
            [(apart[name] / (1 + np.abs(_columns(expected[name])[rows, None]))).max(axis=-1) for name in apart]
        ).max(axis=0)
        nearest = scaled.argmin(axis=1)
        relative = max(relative, float(scaled.min(axis=1).max()))
        for name, value in apart.items():
            absolute[name] = float(value[np.arange(len(rows)), nearest].max())
    return Comparison(len(rows), relative, absolute)


def worst(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Return the larger value of every entry of ``one``.

    Example:
        >>> worst({'a': 1.0, 'b': 0.0}, {'b': 2.0})
        {'a': 1.0, 'b': 2.0}
    """
    return {name: max(value, other.get(name, 0.0)) for name, value in one.items()}


def _columns(values: NDArray) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def _difference(expected: NDArray, got: NDArray, name: str) -> NDArray[np.float64]:
    """Return absolute differences; those of angles never exceed pi."""
    apart = np.abs(np.asarray(expected, dtype=np.float64) - np.asarray(got, dtype=np.float64))
    if name == 'alpha':
        apart = np.minimum(apart, np.abs(2 * np.pi - apart))
    elif name == 'bboxes_3d':
        apart[..., 6] = np.minimum(apart[..., 6], np.abs(2 * np.pi - apart[..., 6]))
    return np.where(np.isfinite(apart), apart, np.inf)

"""The compiled part of dropout for the CPU, a module of its own because it imports numba."""

from __future__ import annotations

import numpy as np

from mono_distill.ops._njit_cached import njit_cached

compiled = njit_cached(nogil=True)

# SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): numbers at any place of a random sequence, without a state.
STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
DIGITS = np.uint64(0xFFFF)


@compiled
def _mixed(seed: np.uint64, block: int) -> np.uint64:
    """Return the random 64 bits of a block of four places."""
    z = seed + np.uint64(block + 1) * STEP
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


@compiled
def drop_entries(x: np.ndarray, result: np.ndarray, seed: np.uint64, threshold: np.uint64, scale: float) -> None:
    """Write 0 at a share of ``threshold / 2^16`` of the places of ``result`` (n,) and ``scale * x`` elsewhere."""
    factor = x.dtype.type(scale)
    zero = x.dtype.type(0)
    n = x.shape[0]
    for block in range(n // 4):
        z = _mixed(seed, block)
        first = 4 * block
        for part in range(4):
            kept = (z >> np.uint64(16 * part)) & DIGITS >= threshold
            result[first + part] = x[first + part] * factor if kept else zero
    z = _mixed(seed, n // 4)
    for part in range(n % 4):
        kept = (z >> np.uint64(16 * part)) & DIGITS >= threshold
        result[n - n % 4 + part] = x[n - n % 4 + part] * factor if kept else zero

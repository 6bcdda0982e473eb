"""The compiled derivatives of soft ranks for the CPU, a module of its own because it imports numba.

They run on one thread and without Python's lock. As numba's cache does not notice changes in a file that a function
calls into, they share nothing with :mod:`mono_distill.ops._rank_kernel`.
"""

from __future__ import annotations

import numpy as np

from mono_distill.ops._njit_cached import njit_cached

# Division by zero gives infinity or NaN, as in torch.
compiled = njit_cached(nogil=True, error_model='numpy')
# Sums whose order may change, so that they use vector instructions.
compiled_reduction = njit_cached(nogil=True, error_model='numpy', fastmath={'reassoc', 'nsz'})


@compiled_reduction
def row_sum(row: np.ndarray) -> float:
    """Sum in float64."""
    result = 0.0
    for i in range(row.shape[0]):
        result += row[i]
    return result


@compiled
def deviation_rows(
    values: np.ndarray, eps: np.ndarray, pool: np.ndarray, pool_size: np.ndarray, result: np.ndarray
) -> None:
    """``values`` (R, n) minus their mean over each pool, divided by ``eps`` (R,)."""
    rows, n = values.shape
    means = np.zeros(pool_size.shape[0])
    for r in range(rows):
        if pool_size[pool[r, 0]] == n:
            means[pool[r, 0]] = row_sum(values[r])
        else:
            for i in range(n):
                means[pool[r, i]] += values[r, i]
    for p in range(means.shape[0]):
        means[p] /= pool_size[p]
    for r in range(rows):
        divisor = eps[r]
        for i in range(n):
            result[r, i] = (values[r, i] - means[pool[r, i]]) / divisor


@compiled_reduction
def moment_rows(values: np.ndarray, weights: np.ndarray, result: np.ndarray) -> None:
    """``result`` (R,): sum over each row of ``weights`` times ``values``, shifted by one of them; both (R, n).

    Where the weights of a row sum to zero, a shift only saves digits.
    """
    rows, n = values.shape
    for r in range(rows):
        origin = float(values[r, n // 2])
        moment = 0.0
        for i in range(n):
            moment += weights[r, i] * (values[r, i] - origin)
        result[r] = moment

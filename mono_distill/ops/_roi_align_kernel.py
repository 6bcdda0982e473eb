"""The compiled parts of RoIAlign for the CPU, a module of its own because it imports numba.

They run on one thread and without Python's lock. Boxes are small, so loops over their pixels are short; the innermost
loops run over channels instead, some at a time, so that the numbers at work stay in the processor's nearest cache.
"""

from __future__ import annotations

import numpy as np

from mono_distill.ops._njit_cached import njit_cached

# Sums whose order may change, so that they use vector instructions.
compiled = njit_cached(nogil=True, fastmath={'reassoc', 'nsz', 'contract'})

CHUNK = 32


@compiled
def find_extents(weights: np.ndarray, extents: np.ndarray) -> tuple[int, int]:
    """Write where the weights (bins, length) of each bin begin and end to be non-zero; return the same of all bins.

    ``extents`` (bins, 2) receives (0, 0) for a bin without any, and so is the result if no bin has any.
    """
    bins, length = weights.shape
    low, high = length, 0
    for i in range(bins):
        extents[i] = 0
        for k in range(length):
            if weights[i, k] != 0:
                if extents[i, 1] == 0:
                    extents[i, 0] = k
                extents[i, 1] = k + 1
        if extents[i, 1] > 0:
            low, high = min(low, extents[i, 0]), max(high, extents[i, 1])
    return min(low, high), high


@compiled
def add_scaled(target: np.ndarray, source: np.ndarray, factor: float, count: int) -> None:
    """Add ``factor`` times the first ``count`` numbers of ``source`` to those of ``target``."""
    for k in range(count):
        target[k] += factor * source[k]


@compiled
def pool_rows(features: np.ndarray, rows: np.ndarray, columns: np.ndarray, pooled: np.ndarray) -> None:
    """Fill ``pooled`` (B, N, bins, bins, C) with the weighted features, see :func:`mono_distill.ops.pool_boxes`."""
    batch, channels, _, width = features.shape
    slots, bins = rows.shape[1], rows.shape[2]
    row_extents, column_extents = np.empty((bins, 2), np.int64), np.empty((bins, 2), np.int64)
    # One row of the map inside the box, and all rows summed for each bin; channels of a pixel are neighbours.
    line = np.zeros(width * CHUNK, features.dtype)
    sums = np.empty((bins, width * CHUNK), features.dtype)
    pooled[:] = 0
    for b in range(batch):
        for n in range(slots):
            top, bottom = find_extents(rows[b, n], row_extents)
            left, right = find_extents(columns[b, n], column_extents)
            count = (right - left) * CHUNK
            for start in range(0, channels if bottom > 0 else 0, CHUNK):
                size = min(CHUNK, channels - start)
                sums[:, :count] = 0
                for y in range(top, bottom):
                    for c in range(size):
                        source = features[b, start + c, y, left:right]
                        for x in range(right - left):
                            line[x * CHUNK + c] = source[x]
                    for i in range(bins):
                        if rows[b, n, i, y] != 0:
                            add_scaled(sums[i], line, rows[b, n, i, y], count)
                for j in range(bins):
                    for x in range(column_extents[j, 0], column_extents[j, 1]):
                        for i in range(bins):
                            source = sums[i, (x - left) * CHUNK : (x - left + 1) * CHUNK]
                            add_scaled(pooled[b, n, i, j, start : start + size], source, columns[b, n, j, x], size)


@compiled
def spread_rows(gradient: np.ndarray, rows: np.ndarray, columns: np.ndarray, result: np.ndarray) -> None:
    """Add to ``result`` (B, C, H, W) what :func:`pool_rows` sends back for ``gradient`` (B, N, bins, bins, C)."""
    batch, slots, bins, _, channels = gradient.shape
    width = result.shape[3]
    row_extents, column_extents = np.empty((bins, 2), np.int64), np.empty((bins, 2), np.int64)
    line = np.empty(width * CHUNK, result.dtype)
    sums = np.empty((bins, width * CHUNK), result.dtype)
    for b in range(batch):
        for n in range(slots):
            top, bottom = find_extents(rows[b, n], row_extents)
            left, right = find_extents(columns[b, n], column_extents)
            count = (right - left) * CHUNK
            for start in range(0, channels if bottom > 0 else 0, CHUNK):
                size = min(CHUNK, channels - start)
                sums[:, :count] = 0
                for j in range(bins):
                    for x in range(column_extents[j, 0], column_extents[j, 1]):
                        for i in range(bins):
                            target = sums[i, (x - left) * CHUNK : (x - left + 1) * CHUNK]
                            add_scaled(target, gradient[b, n, i, j, start : start + size], columns[b, n, j, x], size)
                for y in range(top, bottom):
                    line[:count] = 0
                    for i in range(bins):
                        if rows[b, n, i, y] != 0:
                            add_scaled(line, sums[i], rows[b, n, i, y], count)
                    for c in range(size):
                        target = result[b, start + c, y, left:right]
                        for x in range(right - left):
                            target[x] += line[x * CHUNK + c]

"""The compiled parts of deformable attention for the CPU, a module of its own because it imports numba.

They run without Python's lock on some of the heads, so that several threads share the work: what a head reads and
writes belongs to it alone. The channels of a cell are neighbours in memory; the innermost loops run over them.
"""

from __future__ import annotations

import numpy as np

from mono_distill.ops._njit_cached import njit_cached

# Sums whose order may change, so that they use vector instructions.
compiled = njit_cached(nogil=True, error_model='numpy', fastmath={'reassoc', 'nsz', 'contract'})


@compiled
def find_corners(
    x: float, y: float, height: int, width: int, cells: np.ndarray, shares: np.ndarray
) -> tuple[bool, float, float]:
    """Find the four cells around a position in pixels.

    ``cells`` (4,) receives their numbers: upper left, upper right, lower left, lower right; -1 outside of the map.
    ``shares`` (4,) receives their bilinear weights.

    Returns:
        Whether any cell lies inside, and the distances to the left and upper cells.
    """
    if not (x > -1 and x < width and y > -1 and y < height):
        return False, 0.0, 0.0
    left, top = int(np.floor(x)), int(np.floor(y))
    dx, dy = x - left, y - top
    for corner in range(4):
        row, column = top + corner // 2, left + corner % 2
        inside = 0 <= row < height and 0 <= column < width
        cells[corner] = row * width + column if inside else -1
        shares[corner] = (dy if corner // 2 else 1 - dy) * (dx if corner % 2 else 1 - dx)
    return True, dx, dy


@compiled
def sample_heads(
    value: np.ndarray,
    shapes: np.ndarray,
    locations: np.ndarray,
    weights: np.ndarray,
    output: np.ndarray,
    heads: tuple[int, int],
) -> None:
    """Write ``output`` (B, Q, heads, C) of some heads; see :func:`mono_distill.ops.deformable_attention`."""
    batch, queries, _, levels, points, _ = locations.shape
    channels = value.shape[3]
    cells, shares = np.empty(4, np.int64), np.empty(4, np.float64)
    total = np.empty(channels, value.dtype)
    for b in range(batch):
        for q in range(queries):
            for h in range(heads[0], heads[1]):
                total[:] = 0
                first = 0
                for level in range(levels):
                    height, width = shapes[level, 0], shapes[level, 1]
                    for p in range(points):
                        x = locations[b, q, h, level, p, 0] * width - 0.5
                        y = locations[b, q, h, level, p, 1] * height - 0.5
                        if np.isnan(x + y):
                            total[:] = np.nan
                        hit, _, _ = find_corners(x, y, height, width, cells, shares)
                        if not hit:
                            continue
                        for corner in range(4):
                            if cells[corner] >= 0:
                                n = first + cells[corner]
                                share = value.dtype.type(weights[b, q, h, level, p] * shares[corner])
                                for c in range(channels):
                                    total[c] += share * value[b, n, h, c]
                    first += height * width
                for c in range(channels):
                    output[b, q, h, c] = total[c]


@compiled
def slope_heads(
    value: np.ndarray,
    shapes: np.ndarray,
    locations: np.ndarray,
    weights: np.ndarray,
    gradient: np.ndarray,
    heads: tuple[int, int],
    value_slope: np.ndarray,
    location_slope: np.ndarray,
    weight_slope: np.ndarray,
) -> None:
    """Write what :func:`sample_heads` sends back for ``gradient`` (B, Q, heads, C).

    The last three arrays have the shapes of ``value``, ``locations`` and ``weights`` and must be zero.
    """
    batch, queries, _, levels, points, _ = locations.shape
    channels = value.shape[3]
    cells, shares, dots = np.empty(4, np.int64), np.empty(4, np.float64), np.empty(4, np.float64)
    for b in range(batch):
        for q in range(queries):
            for h in range(heads[0], heads[1]):
                first = 0
                for level in range(levels):
                    height, width = shapes[level, 0], shapes[level, 1]
                    for p in range(points):
                        x = locations[b, q, h, level, p, 0] * width - 0.5
                        y = locations[b, q, h, level, p, 1] * height - 0.5
                        hit, dx, dy = find_corners(x, y, height, width, cells, shares)
                        if not hit:
                            continue
                        weight = weights[b, q, h, level, p]
                        for corner in range(4):
                            dots[corner] = 0
                            if cells[corner] >= 0:
                                n = first + cells[corner]
                                share = value.dtype.type(weight * shares[corner])
                                dot = value.dtype.type(0)
                                for c in range(channels):
                                    dot += gradient[b, q, h, c] * value[b, n, h, c]
                                for c in range(channels):
                                    value_slope[b, n, h, c] += share * gradient[b, q, h, c]
                                dots[corner] = dot
                        weight_slope[b, q, h, level, p] = (shares * dots).sum()
                        rightward = (1 - dy) * (dots[1] - dots[0]) + dy * (dots[3] - dots[2])
                        downward = (1 - dx) * (dots[2] - dots[0]) + dx * (dots[3] - dots[1])
                        location_slope[b, q, h, level, p, 0] = weight * width * rightward
                        location_slope[b, q, h, level, p, 1] = weight * height * downward
                    first += height * width

"""The compiled parts of masks and weight maps of 2D boxes, a module of its own because it imports numba."""

from __future__ import annotations

import numpy as np

from mono_distill.ops._njit_cached import njit_cached

compiled = njit_cached(nogil=True)


@compiled
def pixels(start: float, stop: float, length: int, wrap: bool) -> tuple[int, int]:
    """First pixel of an interval, and the one behind its last, on an axis of ``length`` pixels.

    The bounds are truncated. With ``wrap`` negative ones count from the far end. A NaN makes the interval empty.
    """
    start, stop = np.trunc(start), np.trunc(stop)
    if wrap:
        start = start + length if start < 0 else start
        stop = stop + length if stop < 0 else stop
    if not (start < stop and start < length and stop > 0):
        return 0, 0
    return int(max(start, 0.0)), int(min(stop, float(length)))


@compiled
def mark_boxes(boxes: np.ndarray, wrap: bool, mask: np.ndarray) -> None:
    """Set ``mask`` (B, H, W) bool inside ``boxes`` (B, N, 4), which are xyxy in pixels of the map."""
    batch, height, width = mask.shape
    for b in range(batch):
        for n in range(boxes.shape[1]):
            x1, x2 = pixels(boxes[b, n, 0], boxes[b, n, 2], width, wrap)
            y1, y2 = pixels(boxes[b, n, 1], boxes[b, n, 3], height, wrap)
            for y in range(y1, y2):
                for x in range(x1, x2):
                    mask[b, y, x] = True


@compiled
def number_last(boxes: np.ndarray, wrap: bool, number: np.ndarray, covered: np.ndarray) -> None:
    """Write the last box over each pixel, counted from 1, to ``number`` (B, H, W) int64, and mark it in ``covered``."""
    batch, height, width = number.shape
    for b in range(batch):
        for n in range(boxes.shape[1]):
            x1, x2 = pixels(boxes[b, n, 0], boxes[b, n, 2], width, wrap)
            y1, y2 = pixels(boxes[b, n, 1], boxes[b, n, 3], height, wrap)
            for y in range(y1, y2):
                for x in range(x1, x2):
                    number[b, y, x] = n + 1
                    covered[b, y, x] = True


@compiled
def number_largest(boxes: np.ndarray, wrap: bool, weights: np.ndarray, number: np.ndarray, covered: np.ndarray) -> None:
    """The same with the box of the largest of the ``weights`` (B, N), the first of several; NaN is the largest."""
    batch, height, width = number.shape
    for b in range(batch):
        for n in range(boxes.shape[1]):
            x1, x2 = pixels(boxes[b, n, 0], boxes[b, n, 2], width, wrap)
            y1, y2 = pixels(boxes[b, n, 1], boxes[b, n, 3], height, wrap)
            weight = weights[b, n]
            for y in range(y1, y2):
                for x in range(x1, x2):
                    best = number[b, y, x]
                    if best == 0 or weight > weights[b, best - 1] or np.isnan(weight):
                        number[b, y, x] = n + 1
                        covered[b, y, x] = True

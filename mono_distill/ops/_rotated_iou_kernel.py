"""The compiled part of :mod:`mono_distill.ops.rotated_iou`, a module of its own because it imports numba."""

from __future__ import annotations

import math

import numpy as np

from mono_distill.ops._njit_cached import njit_cached

# A half-plane adds one corner to a convex polygon, so 4 become 8 at most. Rounding can make a polygon very slightly
# concave; a half-plane then cuts every edge in the worst case (4 -> 6 -> 9 -> 13 -> 19), still within the buffers.
CORNERS = 20


@njit_cached()
def clip_half_plane(source: np.ndarray, count: int, axis: int, sign: float, limit: float, target: np.ndarray) -> int:
    """Keep the part of a convex polygon with ``sign * point[axis] <= limit``; return its number of corners.

    One step of Sutherland and Hodgman's polygon clipping (Communications of the ACM 17(1), 1974). The polygon is the
    first ``count`` rows of the (P, 2) buffer ``source``; ``target`` receives the result.
    """
    kept = 0
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        inside = limit - sign * source[i, axis]
        next_inside = limit - sign * source[j, axis]
        if inside >= 0:
            target[kept, 0] = source[i, 0]
            target[kept, 1] = source[i, 1]
            kept += 1
        if (inside > 0 and next_inside < 0) or (inside < 0 and next_inside > 0):
            share = inside / (inside - next_inside)
            target[kept, 0] = source[i, 0] + share * (source[j, 0] - source[i, 0])
            target[kept, 1] = source[i, 1] + share * (source[j, 1] - source[i, 1])
            # On the line exactly, so that the neighbouring half-planes see no rounding of this one.
            target[kept, axis] = sign * limit
            kept += 1
    return kept


@njit_cached()
def intersection_area(box: np.ndarray, query: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Intersection of two rotated rectangles, computed in the frame of ``query``, where it is axis-aligned.

    Relative coordinates keep full precision far from the origin and make identical boxes exactly identical.
    ``first`` and ``second`` are (CORNERS, 2) work buffers.
    """
    delta_x = box[0] - query[0]
    delta_z = box[1] - query[1]
    # Circles around both boxes that do not meet: the cheap answer for nearly every pair of a block.
    reach = math.hypot(box[2], box[3]) + math.hypot(query[2], query[3])
    if 4 * (delta_x * delta_x + delta_z * delta_z) >= reach * reach:
        return 0.0
    cosine = math.cos(query[4])
    sine = math.sin(query[4])
    centre_x = cosine * delta_x - sine * delta_z
    centre_z = sine * delta_x + cosine * delta_z
    cosine = math.cos(box[4] - query[4])
    sine = math.sin(box[4] - query[4])
    for corner in range(4):
        x = -box[2] / 2 if corner < 2 else box[2] / 2
        z = -box[3] / 2 if corner == 0 or corner == 3 else box[3] / 2
        first[corner, 0] = centre_x + cosine * x + sine * z
        first[corner, 1] = centre_z - sine * x + cosine * z
    count = clip_half_plane(first, 4, 0, 1.0, query[2] / 2, second)
    count = clip_half_plane(second, count, 0, -1.0, query[2] / 2, first)
    count = clip_half_plane(first, count, 1, 1.0, query[3] / 2, second)
    count = clip_half_plane(second, count, 1, -1.0, query[3] / 2, first)
    twice = 0.0
    for i in range(2, count):
        twice += (first[i - 1, 0] - first[0, 0]) * (first[i, 1] - first[0, 1])
        twice -= (first[i, 0] - first[0, 0]) * (first[i - 1, 1] - first[0, 1])
    return abs(twice) / 2


@njit_cached()
def rotated_overlaps(boxes: np.ndarray, queries: np.ndarray, criterion: int) -> np.ndarray:
    """All pairs of (N, 5) ``boxes`` and (K, 5) ``queries``; see :func:`mono_distill.ops.rotated_iou_bev`."""
    overlaps = np.zeros((boxes.shape[0], queries.shape[0]))
    first = np.empty((CORNERS, 2))
    second = np.empty((CORNERS, 2))
    for n in range(boxes.shape[0]):
        if boxes[n, 2] <= 0 or boxes[n, 3] <= 0:
            continue
        area = boxes[n, 2] * boxes[n, 3]
        for k in range(queries.shape[0]):
            if queries[k, 2] <= 0 or queries[k, 3] <= 0:
                continue
            shared = intersection_area(boxes[n], queries[k], first, second)
            if shared == 0:
                continue
            query_area = queries[k, 2] * queries[k, 3]
            if criterion == -1:
                overlaps[n, k] = shared / (area + query_area - shared)
            elif criterion == 0:
                overlaps[n, k] = shared / area
            elif criterion == 1:
                overlaps[n, k] = shared / query_area
            else:
                overlaps[n, k] = shared
    return overlaps

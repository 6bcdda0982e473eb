"""Overlap of rotated boxes, in pure PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_AREA = 1e-14
"""A box with less area overlaps nothing, as in mmcv (squared units of the boxes)."""

_PAIRS_PER_CHUNK = 1 << 15


@torch.no_grad()
def box_iou_rotated(boxes1: Tensor, boxes2: Tensor, ious: Tensor, mode_flag: int, aligned: bool) -> None:
    """Write the overlaps of rotated boxes into ``ious``; the form of ``mmcv._ext.box_iou_rotated``.

    Computed in float64 and exact up to its rounding. The compiled op works in float32 and loses corners where edges
    nearly coincide: for equal boxes that differ by 1e-6, or by a full turn, it can return 0.

    Args:
        boxes1: (N, 5) boxes (x_ctr, y_ctr, w, h, angle), angle in radians, clockwise in a frame with y down.
        boxes2: (M, 5) boxes; M = N where ``aligned``.
        ious: Receives the overlaps: (N,) where ``aligned``, else (N * M,) in row-major order.
        mode_flag: 0 for intersection over union, 1 for intersection over the area of ``boxes1``.
        aligned: Whether to compare row by row instead of each with each.
    """
    result = rotated_overlaps(boxes1, boxes2, over_first=mode_flag == 1, aligned=aligned)
    ious.copy_(result.reshape(ious.shape))


def rotated_overlaps(boxes1: Tensor, boxes2: Tensor, *, over_first: bool = False, aligned: bool = False) -> Tensor:
    """Return the overlaps of rotated boxes in float64.

    Boxes without area, or with a non-finite number, overlap nothing.

    Args:
        boxes1: (N, 5) boxes (x_ctr, y_ctr, w, h, angle), angle in radians.
        boxes2: (M, 5) boxes; M = N where ``aligned``.
        over_first: Divide by the area of ``boxes1`` instead of the area of the union.
        aligned: Whether to compare row by row instead of each with each.

    Returns:
        (N,) where ``aligned``, else (N, M), in [0, 1].

    Example:
        >>> square = torch.tensor([[0.0, 0.0, 2.0, 2.0, 0.0]])
        >>> shifted = torch.tensor([[1.0, 0.0, 2.0, 2.0, 0.0], [9.0, 0.0, 2.0, 2.0, 0.0]])
        >>> rotated_overlaps(square, shifted)
        tensor([[0.3333, 0.0000]], dtype=torch.float64)
    """
    boxes1, boxes2 = boxes1[:, :5].double(), boxes2[:, :5].double()
    if aligned:
        first = second = _touching(boxes1, boxes2).nonzero().squeeze(1)
        overlaps = boxes1.new_zeros(len(boxes1))
    else:
        first, second = _touching(boxes1[:, None], boxes2[None]).nonzero(as_tuple=True)
        overlaps = boxes1.new_zeros(len(boxes1), len(boxes2))
    chunks = zip(first.split(_PAIRS_PER_CHUNK), second.split(_PAIRS_PER_CHUNK), strict=True)
    for rows, columns in chunks:
        values = _ratio(boxes1[rows], boxes2[columns], over_first)
        if aligned:
            overlaps[rows] = values
        else:
            overlaps[rows, columns] = values
    return overlaps


def _touching(a: Tensor, b: Tensor) -> Tensor:
    """Whether the circumscribed circles of two (broadcast) sets of boxes meet, and both boxes have an area."""
    reach = a[..., 2:4].norm(dim=-1) + b[..., 2:4].norm(dim=-1)
    distance = (a[..., :2] - b[..., :2]).norm(dim=-1)
    real = (a[..., 2] * a[..., 3] >= MIN_AREA) & (b[..., 2] * b[..., 3] >= MIN_AREA)
    finite = torch.isfinite(a).all(-1) & torch.isfinite(b).all(-1)
    return (distance * 2 <= reach) & real & finite


def _ratio(a: Tensor, b: Tensor, over_first: bool) -> Tensor:
    area_a, area_b = a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]
    shared = _intersection_area(a, b).minimum(area_a).minimum(area_b)
    return shared / (area_a if over_first else area_a + area_b - shared)


def _intersection_area(a: Tensor, b: Tensor) -> Tensor:
    """Return the area shared by each pair of rotated boxes.

    In the frame of ``b`` the second box is the axis-aligned rectangle ``|x| <= w/2, |y| <= h/2``. Moving each point of
    the outline of ``a`` to its nearest point of that rectangle (clamping its coordinates) gives a closed curve that
    winds once around exactly the shared region, since a point moves on a segment that never crosses the interior of
    the rectangle. Its enclosed area is the answer. An edge of ``a`` stays a chain of straight pieces under the
    clamping, broken where it crosses one of the four lines. Unlike methods that collect and sort the corners of the
    intersection this has no special cases: it is continuous where edges coincide.

    Args:
        a: (P, 5) boxes.
        b: (P, 5) boxes.

    Returns:
        (P,) areas.
    """
    half = (b[:, 2:4].abs() / 2)[:, None, None]  # (P, 1, 1, 2)
    corners = _corners_in_frame_of(a, b)[:, :, None]  # (P, 4, 1, 2)
    edges = corners.roll(-1, dims=1) - corners
    crossings = torch.cat([(-half - corners) / edges, (half - corners) / edges], dim=-1)  # (P, 4, 1, 4)
    # An edge parallel to a line gives infinities, or nan where it lies on it: a break at its ends is as good as none.
    crossings = crossings.nan_to_num(nan=0.0).clamp(0, 1).sort(dim=-1).values
    breaks = torch.cat([torch.zeros_like(crossings[..., :1]), crossings], dim=-1)[:, :, 0, :, None]  # (P, 4, 5, 1)
    outline = torch.minimum(torch.maximum(corners + breaks * edges, -half), half).flatten(1, 2)  # (P, 20, 2)
    x, y = (outline - outline[:, :1]).unbind(-1)
    area = (x * y.roll(-1, dims=1) - y * x.roll(-1, dims=1)).sum(dim=1) / 2
    # Boxes that are apart leave a curve that runs along the rectangle and back; what it encloses is rounding.
    rounding = 1e-14 * (x.amax(dim=1) - x.amin(dim=1)) * (y.amax(dim=1) - y.amin(dim=1))
    return area.where(area > rounding, 0)


def _corners_in_frame_of(a: Tensor, b: Tensor) -> Tensor:
    """Return the corners of ``a`` (P, 4, 2), counter-clockwise, in the frame of ``b``: its centre, its axes."""
    cos, sin = b[:, 4].cos(), b[:, 4].sin()
    dx, dy = (a[:, :2] - b[:, :2]).unbind(-1)
    centre = torch.stack([cos * dx + sin * dy, cos * dy - sin * dx], dim=-1)
    turn = a[:, 4] - b[:, 4]
    cos, sin = turn.cos(), turn.sin()
    along = torch.stack([cos, sin], dim=-1) * (a[:, 2:3] / 2)
    across = torch.stack([-sin, cos], dim=-1) * (a[:, 3:4] / 2)
    offsets = torch.stack([-along - across, along - across, along + across, across - along], dim=1)
    return centre[:, None] + offsets

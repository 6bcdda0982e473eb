"""Exact and differentiable overlap of rotated boxes, on any device and without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.utils.errors import ShapeError


def rotated_iou(boxes: Tensor, others: Tensor) -> Tensor:
    r"""Overlap (IoU) of rotated rectangles on the ground plane.

    In the frame of the other box the intersection is what is left of a rectangle between two pairs of axis-parallel
    lines, and its area is an integral along the four edges of that rectangle (Green's theorem):

    .. math:: A = -\oint \operatorname{clamp}(y, -h, h) \; dx \quad\text{over the part with } |x| \le w

    Each edge is a straight line, so its part is a closed form. No corner is ever judged inside or outside and nothing
    is sorted: the result is continuous in all inputs, exact up to rounding (for edges that coincide too), and has a
    gradient, so it also serves as a loss. :func:`mono_distill.ops.rotated_iou_bev` is the form for evaluation on the
    CPU (float64, compiled, KITTI's camera frame, whose angle turns the other way).

    Args:
        boxes: ``(..., 5)`` x, y, dx, dy, yaw in metres and radians, dx along the heading, yaw counter-clockwise from
            the x axis. Half precision is raised to float32.
        others: ``(..., 5)``, of a shape that broadcasts: ``rotated_iou(a[:, None], b[None])`` compares all pairs.

    Returns:
        ``(...)`` in 0 to 1. A box with a side of zero or less overlaps nothing; an overlap within the rounding error
        counts as none.

    Raises:
        ShapeError: The last dimension is not 5.

    Example:
        >>> box = torch.tensor([0.0, 0.0, 4.0, 2.0, 0.5])
        >>> rotated_iou(box, box)
        tensor(1.)
        >>> rotated_iou(torch.tensor([0.0, 0.0, 4.0, 2.0, 0.0]), torch.tensor([1.0, 0.0, 4.0, 2.0, 0.0]))
        tensor(0.6000)
    """
    boxes, others = _checked(boxes, others, 5, 'rotated_iou')
    shared = _intersection(boxes, others)
    return _ratio(shared, boxes[..., 2:4], others[..., 2:4])


def rotated_iou_3d(boxes: Tensor, others: Tensor) -> Tensor:
    """Overlap (IoU) of boxes that are rotated about the vertical.

    Args:
        boxes: ``(..., 7)`` x, y, z, dx, dy, dz, yaw, with z of the gravity centre (``tensor`` of mmdet3d's LiDAR boxes
            holds the bottom: add dz / 2); otherwise as for :func:`rotated_iou`.
        others: ``(..., 7)``, of a shape that broadcasts.

    Returns:
        ``(...)`` in 0 to 1.

    Raises:
        ShapeError: The last dimension is not 7.

    Example:
        >>> box = torch.tensor([0.0, 0.0, 0.0, 4.0, 2.0, 1.5, 0.3])
        >>> rotated_iou_3d(box, box + torch.tensor([0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]))
        tensor(0.5000)
    """
    boxes, others = _checked(boxes, others, 7, 'rotated_iou_3d')
    shared = _intersection(_seen_from_above(boxes), _seen_from_above(others))
    z, tall, other_z, other_tall = boxes[..., 2], boxes[..., 5], others[..., 2], others[..., 5]
    top = torch.minimum(z + tall / 2, other_z + other_tall / 2)
    bottom = torch.maximum(z - tall / 2, other_z - other_tall / 2)
    return _ratio(shared * (top - bottom).clamp(min=0), boxes[..., 3:6], others[..., 3:6])


def _seen_from_above(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[..., :2], boxes[..., 3:5], boxes[..., 6:]], -1)


def _ratio(shared: Tensor, sides: Tensor, other_sides: Tensor) -> Tensor:
    union = sides.clamp(min=0).prod(-1) + other_sides.clamp(min=0).prod(-1) - shared
    return torch.where(shared > 0, shared / union.clamp(min=torch.finfo(union.dtype).tiny), 0)


def _intersection(boxes: Tensor, others: Tensor) -> Tensor:
    """Area that two rectangles share."""
    x, y = _corners(boxes, others)
    half = others[..., 2:4].clamp(min=0).unsqueeze(-2) / 2
    width, height = half[..., 0], half[..., 1]
    next_x, next_y = x.roll(-1, -1), y.roll(-1, -1)
    # The part of each edge with |x| <= width; what is cut off moves onto the line x = width, where dx is zero.
    begin_x, end_x = _clamp(x, width), _clamp(next_x, width)
    run = next_x - x
    run = torch.where(run == 0, 1, run)
    begin_y = y + (begin_x - x) / run * (next_y - y)
    end_y = next_y + (end_x - next_x) / run * (next_y - y)
    area = ((begin_x - end_x) * _mean_of_clamped(begin_y, end_y, height)).sum(-1)
    # Where boxes are apart the four terms cancel up to their rounding.
    noise = 16 * torch.finfo(area.dtype).eps * (4 * width * height).squeeze(-1)
    return torch.where(area > noise, area, 0)


def _corners(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Corners of the boxes in the frames of the others, counter-clockwise: x and y, each ``(..., 4)``."""
    # The difference first: far from the origin, too, the result has the precision of the offset.
    offset = boxes[..., :2] - others[..., :2]
    cos, sin = others[..., 4].cos(), others[..., 4].sin()
    x, y = cos * offset[..., 0] + sin * offset[..., 1], cos * offset[..., 1] - sin * offset[..., 0]
    turn = boxes[..., 4] - others[..., 4]
    cos, sin = turn.cos(), turn.sin()
    ahead, left = boxes[..., 2].clamp(min=0) / 2, boxes[..., 3].clamp(min=0) / 2
    ahead_x, ahead_y, left_x, left_y = cos * ahead, sin * ahead, -sin * left, cos * left
    around_x = [ahead_x + left_x, left_x - ahead_x, -ahead_x - left_x, ahead_x - left_x]
    around_y = [ahead_y + left_y, left_y - ahead_y, -ahead_y - left_y, ahead_y - left_y]
    return x.unsqueeze(-1) + torch.stack(around_x, -1), y.unsqueeze(-1) + torch.stack(around_y, -1)


def _mean_of_clamped(begin: Tensor, end: Tensor, limit: Tensor) -> Tensor:
    """Mean of ``clamp(y, -limit, limit)`` while y runs evenly from ``begin`` to ``end``."""
    middle = (_clamp(begin, limit) + _clamp(end, limit)) / 2
    above, below = _share_beyond(begin, end, limit), _share_beyond(-begin, -end, limit)
    return middle + above * (limit - middle) - below * (limit + middle)


def _share_beyond(begin: Tensor, end: Tensor, limit: Tensor) -> Tensor:
    """Share of the way from ``begin`` to ``end`` on which y is larger than the limit."""
    more, less = torch.maximum(begin, end) - limit, torch.minimum(begin, end) - limit
    # All or part of the way. Without the distinction a line that is nearly parallel would lose all digits of value and
    # gradient.
    share: Tensor = more.clamp(min=0) / torch.where(more == less, 1, more - less)
    return torch.where(less > 0, 1, share)


def _clamp(values: Tensor, limit: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(values, -limit), limit)


def _checked(boxes: Tensor, others: Tensor, columns: int, owner: str) -> tuple[Tensor, Tensor]:
    if boxes.dim() < 1 or others.dim() < 1 or boxes.shape[-1] != columns or others.shape[-1] != columns:
        raise ShapeError(
            f'{owner}: boxes {tuple(boxes.shape)} and others {tuple(others.shape)}; expected (..., {columns}) each.'
        )
    dtype = torch.promote_types(torch.promote_types(boxes.dtype, others.dtype), torch.float32)
    return boxes.to(dtype), others.to(dtype)

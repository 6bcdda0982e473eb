"""Rotated boxes on a bird's-eye-view map, without loops over boxes or host synchronisation."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.ops.point_sampler import Range, check_range
from mono_distill.utils.errors import ShapeError

# Cells of all boxes that bev_box_indices looks at together: bounds its memory.
CHUNK = 1 << 24


def bev_box_masks(
    boxes: Tensor, size: tuple[int, int], *, x_range: Range, y_range: Range, valid: Tensor | None = None
) -> Tensor:
    """Mark the cells whose centre lies in any rotated box, heights ignored.

    In one row of the map a box covers a span of columns, which is the intersection of two slabs. Spans are found for
    all boxes and rows at once and united by counting where they begin and end, so the cost grows with boxes times rows
    rather than boxes times cells. DistillBEV (ICCV 2023) uses such masks; its released BEVDet variant tests a corner of
    the cell instead of the centre (``mmdet3d/models/detectors/bevdet_distill.py:766``), half a cell off.

    Args:
        boxes: ``(B, N, 7)`` or more columns: x, y, z, dx, dy, dz, yaw in metres and radians (dx along the heading, yaw
            counter-clockwise from the x axis). Boxes with a side of zero, as in padding, cover nothing.
        size: Map ``(H, W)``, H along y and W along x.
        x_range: x of the left edge of column 0 and of the right edge of the last column, in metres.
        y_range: The same for the rows.
        valid: ``(B, N)`` bool, the boxes to draw; the others may hold anything. ``None`` draws all.

    Returns:
        ``(B, H, W)`` bool.

    Raises:
        ShapeError: The boxes or ``valid`` have another shape.
        ConfigError: A range is empty.

    Example:
        >>> box = torch.tensor([[[2.0, 1.0, 0.0, 2.0, 1.2, 1.5, 0.0]]])
        >>> bev_box_masks(box, (2, 4), x_range=(0.0, 4.0), y_range=(0.0, 2.0)).int()
        tensor([[[0, 1, 1, 0],
                 [0, 1, 1, 0]]], dtype=torch.int32)
    """
    first, stop = _column_spans(boxes, size, x_range, y_range, valid)
    height, width = size
    # +1 where a span begins, -1 behind its end; an empty span has both at the same place.
    steps = first.new_zeros(boxes.shape[0], height, width + 1)
    ones = first.new_ones(()).expand_as(first)
    steps.scatter_add_(2, first, ones).scatter_add_(2, stop, -ones)
    return steps.cumsum(2)[..., :width] > 0


def bev_box_indices(
    boxes: Tensor, size: tuple[int, int], *, x_range: Range, y_range: Range, valid: Tensor | None = None
) -> Tensor:
    """Number of the box that covers each cell; where boxes overlap the smallest of them, of equals the first.

    Args:
        boxes: See :func:`bev_box_masks`.
        size: See :func:`bev_box_masks`.
        x_range: See :func:`bev_box_masks`.
        y_range: See :func:`bev_box_masks`.
        valid: See :func:`bev_box_masks`.

    Returns:
        ``(B, H, W)`` int64, -1 where no box is.

    Raises:
        ShapeError: The boxes or ``valid`` have another shape.
        ConfigError: A range is empty.

    Example:
        >>> boxes = torch.tensor([[[2.0, 1.0, 0.0, 4.0, 2.0, 1.5, 0.0], [1.0, 0.5, 0.0, 1.2, 0.6, 1.5, 0.0]]])
        >>> bev_box_indices(boxes, (2, 4), x_range=(0.0, 4.0), y_range=(0.0, 2.0))
        tensor([[[1, 1, 0, 0],
                 [0, 0, 0, 0]]])
    """
    first, stop = _column_spans(boxes, size, x_range, y_range, valid)
    batch, count = boxes.shape[:2]
    # Boxes from the smallest to the largest: the first that covers a cell has it.
    order = _areas(boxes).argsort(dim=1, stable=True)
    rows = order.unsqueeze(1).expand(-1, size[0], -1)
    first, stop = first.gather(2, rows).unsqueeze(3), stop.gather(2, rows).unsqueeze(3)
    number = torch.arange(count, device=boxes.device).view(1, 1, -1, 1)
    steps = torch.arange(_longest(first, stop, size[1]), device=boxes.device)
    place = torch.full((batch, *size), count, device=boxes.device)
    chunk = max(1, CHUNK // max(1, batch * size[0] * len(steps)))
    for begin in range(0, count, chunk):
        part = slice(begin, begin + chunk)
        columns = first[:, :, part] + steps
        covering = torch.where(columns < stop[:, :, part], number[:, :, part], count)
        place.scatter_reduce_(2, columns.clamp(max=size[1] - 1).flatten(2), covering.flatten(2), 'amin')
    padded = torch.cat([order, order.new_full((batch, 1), -1)], 1)
    return padded.gather(1, place.flatten(1)).view_as(place)


def bev_box_scales(
    boxes: Tensor, size: tuple[int, int], *, x_range: Range, y_range: Range, valid: Tensor | None = None
) -> Tensor:
    r"""Weight of each cell by which all boxes count alike: :math:`\sqrt{\text{cell area} / (dx \cdot dy)}` in a box.

    DistillBEV's foreground scale. Where boxes overlap the largest weight is taken, that of the smallest box.

    Args:
        boxes: See :func:`bev_box_masks`.
        size: See :func:`bev_box_masks`.
        x_range: See :func:`bev_box_masks`.
        y_range: See :func:`bev_box_masks`.
        valid: See :func:`bev_box_masks`.

    Returns:
        ``(B, H, W)``, 0 where no box is; of the dtype of the boxes, at least float32.

    Raises:
        ShapeError: The boxes or ``valid`` have another shape.
        ConfigError: A range is empty.

    Example:
        >>> box = torch.tensor([[[2.0, 1.0, 0.0, 2.0, 2.0, 1.5, 0.0]]])
        >>> bev_box_scales(box, (2, 4), x_range=(0.0, 4.0), y_range=(0.0, 2.0))
        tensor([[[0.0000, 0.5000, 0.5000, 0.0000],
                 [0.0000, 0.5000, 0.5000, 0.0000]]])
    """
    index = bev_box_indices(boxes, size, x_range=x_range, y_range=y_range, valid=valid)
    cell = (x_range[1] - x_range[0]) / size[1] * ((y_range[1] - y_range[0]) / size[0])
    scale = (cell / _areas(boxes)).sqrt()
    # The last entry is that of index -1.
    scale = torch.cat([scale, scale.new_zeros(boxes.shape[0], 1)], 1)
    return scale.gather(1, (index % scale.shape[1]).flatten(1)).view_as(index).to(scale.dtype)


def _longest(first: Tensor, stop: Tensor, width: int) -> int:
    """Columns of the longest span, or all where the host would have to wait for that number."""
    # A graph under compilation must not depend on values.
    if first.device.type != 'cpu' or torch.compiler.is_compiling() or not first.numel():
        return width
    return int((stop - first).max())


def _areas(boxes: Tensor) -> Tensor:
    sides = boxes[..., 3:5].detach()
    if sides.dtype in (torch.float16, torch.bfloat16):
        sides = sides.float()
    return sides.prod(-1)


def _column_spans(
    boxes: Tensor, size: tuple[int, int], x_range: Range, y_range: Range, valid: Tensor | None
) -> tuple[Tensor, Tensor]:
    """First column of each box in each row, and the column behind its last: two ``(B, H, N)`` in ``0 .. W``."""
    if boxes.dim() != 3 or boxes.shape[-1] < 7:
        raise ShapeError(
            f'expected boxes (B, N, 7) or more columns (x, y, z, dx, dy, dz, yaw), got {tuple(boxes.shape)}.'
        )
    if valid is not None and valid.shape != boxes.shape[:2]:
        raise ShapeError(f'valid has shape {tuple(valid.shape)}, but the boxes are {tuple(boxes.shape)}.')
    check_range(x_range, 'x_range')
    check_range(y_range, 'y_range')
    height, width = size
    # float64: spans are rounded to whole cells, and a box edge through cell centres should not depend on float32 noise.
    x, y, _, length, across, _, yaw = boxes[..., :7].detach().double().unsqueeze(1).unbind(-1)
    cell = (y_range[1] - y_range[0]) / height
    rows = y_range[0] + (torch.arange(height, device=boxes.device, dtype=torch.float64) + 0.5) * cell
    y = rows.view(1, -1, 1) - y
    cos, sin = yaw.cos(), yaw.sin()
    ahead = _slab(cos, sin * y, length / 2)
    aside = _slab(-sin, cos * y, across / 2)
    low, high = torch.maximum(ahead[0], aside[0]), torch.minimum(ahead[1], aside[1])
    # From metres to columns whose centre lies within [low, high].
    scale, offset = width / (x_range[1] - x_range[0]), x - x_range[0]
    first = ((low + offset) * scale - 0.5).ceil().clamp(0, width)
    stop = ((high + offset) * scale - 0.5).floor().add(1).clamp(0, width)
    drawn = (length > 0) & (across > 0) & (stop > first)
    if valid is not None:
        drawn = drawn & valid.unsqueeze(1)
    # Boxes that are not finite fail a comparison above, and so become an empty span like all that are not drawn.
    return torch.where(drawn, first, 0).long(), torch.where(drawn, stop, 0).long()


def _slab(slope: Tensor, offset: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Interval of x in which ``|slope * x + offset| <= half``."""
    one, other = (-half - offset) / slope, (half - offset) / slope
    low, high = torch.minimum(one, other), torch.maximum(one, other)
    # Along x the edges are parallel to the row: all of it is inside or none.
    parallel = slope == 0
    inside = offset.abs() <= half
    low = torch.where(parallel, torch.where(inside, -torch.inf, torch.inf), low)
    high = torch.where(parallel, torch.where(inside, torch.inf, -torch.inf), high)
    return low, high

"""Maps that carry a number per object inside its 2D box, without loops or host synchronisation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mono_distill.ops._compiled import as_arrays, box_kernels, on_host
from mono_distill.ops.box_masks import NegativeIndices, box_intervals, paintable_boxes
from mono_distill.utils.errors import ShapeError

Overlap = Literal['last', 'max']


def box_weight_maps(
    boxes: Tensor,
    weights: Tensor,
    size: tuple[int, int],
    *,
    stride: int,
    overlap: Overlap = 'last',
    negative_indices: NegativeIndices = 'clip',
) -> tuple[Tensor, Tensor]:
    """Paint every box with the weight of its object.

    The pixels of a box are those of :func:`mono_distill.ops.box_masks`, and so is the way they are painted.

    Args:
        boxes: ``(B, N, 4)`` xyxy in input pixels; zero boxes, which pad the list, paint nothing.
        weights: ``(B, N)``, any real numbers; the maps are differentiable in them. Of equal ones that are the largest
            over a pixel, either may get its gradient.
        size: Map ``(height, width)``.
        stride: Input pixels per map pixel.
        overlap: What a pixel of several boxes gets: ``'last'``, the weight of the last one of the list, as painting one
            box after the other does, or ``'max'``, the largest weight, which does not depend on the order.
        negative_indices: ``'clip'`` or ``'wrap'``, see :func:`mono_distill.ops.box_masks`.

    Returns:
        The weights ``(B, height, width)``, 0 outside of all boxes, and whether a pixel is in a box, of the same shape.

    Raises:
        ShapeError: ``boxes`` and ``weights`` do not fit.

    Example:
        >>> boxes = torch.tensor([[[0.0, 0.0, 8.0, 4.0], [4.0, 0.0, 12.0, 4.0]]])
        >>> box_weight_maps(boxes, torch.tensor([[0.9, 0.3]]), (1, 4), stride=4)[0]
        tensor([[[0.9000, 0.3000, 0.3000, 0.0000]]])
        >>> box_weight_maps(boxes, torch.tensor([[0.9, 0.3]]), (1, 4), stride=4, overlap='max')[0]
        tensor([[[0.9000, 0.9000, 0.3000, 0.0000]]])
    """
    if boxes.dim() != 3 or boxes.shape[2] != 4 or weights.shape != boxes.shape[:2]:
        raise ShapeError(
            f'box_weight_maps: boxes {tuple(boxes.shape)} and weights {tuple(weights.shape)}; expected (B, N, 4) and '
            '(B, N).'
        )
    batch, slots = weights.shape
    if slots == 0:
        return weights.new_zeros(batch, *size), boxes.new_zeros(batch, *size, dtype=torch.bool)
    boxes, wrap = boxes / stride, negative_indices == 'wrap'
    paintable = paintable_boxes(boxes)
    if paintable is not None and (overlap == 'last' or on_host(weights)):
        return _painted(paintable, weights, size, overlap, wrap)
    rows, columns = box_intervals(boxes, size, wrap=wrap)
    if overlap == 'max':
        return _largest(rows, columns, weights)
    return _last(rows, columns, weights)


def _painted(boxes: Tensor, weights: Tensor, size: tuple[int, int], overlap: str, wrap: bool) -> tuple[Tensor, Tensor]:
    """Weights and cover of boxes in map pixels, painted by the compiled kernels."""
    number = torch.zeros(boxes.shape[0], *size, dtype=torch.int64)
    covered = torch.zeros(number.shape, dtype=torch.bool)
    if overlap == 'max':
        ordered = weights if weights.dtype in (torch.float32, torch.float64) else weights.double()
        box_kernels().number_largest(*as_arrays(boxes), wrap, *as_arrays(ordered, number, covered))
    else:
        box_kernels().number_last(*as_arrays(boxes), wrap, *as_arrays(number, covered))
    return _pick(weights, number), covered


def _pick(weights: Tensor, number: Tensor) -> Tensor:
    """Weights ``(B, N)`` of the boxes whose number is in each pixel ``(B, H, W)``, counted from 1; elsewhere 0."""
    palette = torch.cat([weights.new_zeros(weights.shape[0], 1), weights], 1)
    return palette.gather(1, number.flatten(1)).view(number.shape)


def _last(rows: Tensor, columns: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weight of the last of the rectangles ``rows (B, N, H)`` times ``columns (B, N, W)`` over each pixel."""
    slots = rows.shape[1]
    # Bytes are enough for the usual lists and keep (B, N, H, W), the only large intermediate, small.
    dtype = torch.uint8 if slots < 256 else torch.int32
    number = torch.arange(1, slots + 1, dtype=dtype, device=rows.device).view(1, -1, 1)
    painted = ((rows * number).unsqueeze(3) * columns.unsqueeze(2)).amax(1)
    return _pick(weights, painted.long()), painted > 0


def _largest(rows: Tensor, columns: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Largest weight of the rectangles over each pixel."""
    cover = rows.unsqueeze(3) & columns.unsqueeze(2)
    largest = torch.where(cover, weights[..., None, None], -torch.inf).amax(1)
    covered = cover.any(1)
    return torch.where(covered, largest, 0.0), covered

"""Masks of 2D boxes on a feature map, without loops or host synchronisation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mono_distill.ops._compiled import as_arrays, box_kernels, on_host

NegativeIndices = Literal['clip', 'wrap']


def box_masks(
    boxes: Tensor, size: tuple[int, int], *, stride: int, negative_indices: NegativeIndices = 'clip'
) -> Tensor:
    """Mark the pixels covered by any box of the image.

    A box covers columns ``trunc(x1 / stride)`` up to, not including, ``trunc(x2 / stride)``, rows alike, clipped to the
    map; boxes thinner than a pixel, the zero boxes that pad the list, and boxes with a NaN cover nothing. On the CPU
    they are painted by a kernel compiled by numba, where numba can be imported.

    Args:
        boxes: ``(B, N, 4)`` xyxy in input pixels.
        size: Map ``(height, width)``.
        stride: Input pixels per map pixel.
        negative_indices: ``'clip'``, or ``'wrap'`` for what official MonoDistill-type code does by slicing an array
            with these bounds: a negative bound counts from the far end, so a box that starts outside on the left or on
            top vanishes and one that lies outside altogether appears at the opposite side.

    Returns:
        ``(B, height, width)`` bool.

    Example:
        >>> box_masks(torch.tensor([[[4.0, 0.0, 12.0, 5.0]]]), (2, 4), stride=4).int()
        tensor([[[0, 1, 1, 0],
                 [0, 0, 0, 0]]], dtype=torch.int32)
    """
    return _union(boxes / stride, size, wrap=negative_indices == 'wrap')


def gaussian_square_masks(boxes: Tensor, valid: Tensor, size: tuple[int, int], *, stride: int) -> Tensor:
    """Mark the pixels around the centres of boxes on which CornerNet's Gaussian would be drawn.

    The Gaussian of CenterNet-type heads is cut to the square ``|x - cx| <= r, |y - cy| <= r`` and is positive all over
    it, so the mask of its support is the square. The centre is the truncated box centre in map pixels and r the
    truncated :func:`gaussian_radius` at an overlap of 0.7.

    Args:
        boxes: ``(B, N, 4)`` xyxy in input pixels.
        valid: ``(B, N)`` bool, the boxes to draw; the others may hold anything finite.
        size: Map ``(height, width)``.
        stride: Input pixels per map pixel.

    Returns:
        ``(B, height, width)`` bool.

    Example:
        >>> box = torch.tensor([[[0.0, 0.0, 16.0, 8.0]]])
        >>> gaussian_square_masks(box, torch.tensor([[True]]), (2, 4), stride=4).int()
        tensor([[[0, 0, 0, 0],
                 [0, 0, 1, 0]]], dtype=torch.int32)
    """
    x1, y1, x2, y2 = (boxes / stride).unbind(-1)
    # float64, as in the heatmap: the radius is truncated, so its last bit matters.
    radius = gaussian_radius((y2 - y1).double(), (x2 - x1).double()).trunc().clamp(min=0)
    # A radius of -1 makes the square of an invalid slot empty.
    radius = torch.where(valid, radius, -1)
    centre_x, centre_y = ((x1 + x2) / 2).trunc(), ((y1 + y2) / 2).trunc()
    squares = [centre_x - radius, centre_y - radius, centre_x + radius + 1, centre_y + radius + 1]
    return _union(torch.stack(squares, -1).float(), size, wrap=False)


def gaussian_radius(height: Tensor, width: Tensor, min_overlap: float = 0.7) -> Tensor:
    r"""Radius within which corners still give boxes of the wanted overlap, as CornerNet computes it.

    The three quadratics of CornerNet are solved as ``(b + sqrt(b^2 - 4 a c)) / 2``, that is, without dividing by
    ``a``. This is an error of the original that all CenterNet-type detectors inherited and were tuned with.

    Args:
        height: Heights of boxes in map pixels, any shape, not negative.
        width: Widths, the same shape.
        min_overlap: The overlap (IoU) to keep.

    Returns:
        Radii in map pixels, the same shape.

    Example:
        >>> gaussian_radius(torch.tensor([10.0]), torch.tensor([20.0]))
        tensor([3.6779])
    """
    total, area = height + width, height * width
    outer = _larger_root(1.0, total, area * (1 - min_overlap) / (1 + min_overlap))
    inner = _larger_root(4.0, 2 * total, area * (1 - min_overlap))
    both = _larger_root(4 * min_overlap, -2 * min_overlap * total, area * (min_overlap - 1))
    return torch.minimum(torch.minimum(outer, inner), both)


def _larger_root(a: float, b: Tensor, c: Tensor) -> Tensor:
    return (b + (b * b - 4 * a * c).clamp(min=0).sqrt()) / 2


def paintable_boxes(boxes: Tensor) -> Tensor | None:
    """Prepare boxes in map pixels for :func:`mono_distill.ops._compiled.box_kernels`.

    Returns:
        ``boxes`` in float32 or float64; ``None`` where the kernels cannot be used.
    """
    if boxes.device.type != 'cpu':
        return None
    boxes = boxes if boxes.dtype == torch.float64 else boxes.float()
    return boxes if on_host(boxes) and box_kernels() is not None else None


def box_intervals(boxes: Tensor, size: tuple[int, int], *, wrap: bool) -> tuple[Tensor, Tensor]:
    """Mark the rows and the columns of each box.

    Args:
        boxes: ``(B, N, 4)`` xyxy in map pixels, truncated here: first column and row, and those behind the last.
        size: Map ``(height, width)``.
        wrap: Whether negative bounds count from the far end.

    Returns:
        Rows ``(B, N, height)`` and columns ``(B, N, width)``, bool.
    """
    height, width = size
    bounds = boxes.trunc()
    if wrap:
        far = torch.full_like(bounds, width)
        far[..., 1::2] = height
        bounds = torch.where(bounds < 0, bounds + far, bounds)
    # Both axes in one go: on small maps the calls cost more than the arithmetic.
    places = torch.arange(max(size), dtype=bounds.dtype, device=bounds.device)
    start, stop = bounds.unsqueeze(-1).chunk(2, dim=2)
    inside = (places >= start) & (places < stop)
    return inside[:, :, 1, :height], inside[:, :, 0, :width]


def _union(boxes: Tensor, size: tuple[int, int], *, wrap: bool) -> Tensor:
    """Pixels ``(B, H, W)`` of the union of the ``boxes (B, N, 4)`` of each image, in map pixels."""
    paintable = paintable_boxes(boxes)
    if paintable is not None:
        mask = torch.zeros(boxes.shape[0], *size, dtype=torch.bool)
        box_kernels().mark_boxes(*as_arrays(paintable), wrap, mask.numpy())
        return mask
    rows, columns = box_intervals(boxes, size, wrap=wrap)
    # A product of 0/1 matrices counts the boxes over each pixel.
    return torch.bmm(rows.transpose(1, 2).float(), columns.float()).bool()

"""RoIAlign as two small matrix products, without loops, data-dependent shapes or host synchronisation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mono_distill.ops._compiled import as_arrays, on_host, roi_kernels
from mono_distill.utils.errors import ConfigError, ShapeError


def roi_align(
    features: Tensor,
    boxes: Tensor,
    bins: int = 7,
    *,
    stride: float = 1,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Tensor:
    r"""Average features over the bins of boxes (He et al., Mask R-CNN, section 3).

    A bin is the mean of a regular grid of points that are read bilinearly; points more than one pixel outside of the
    map count as zero, nearer ones take the value of its border. The grid is a product of rows and columns, so the
    pooled box is :math:`W_y F W_x^T` with the matrices of :func:`roi_align_weights`. Up to rounding it equals mmcv's
    (``mmcv.ops.roi_align`` with ``pool_mode='avg'``), where boxes get no gradient either.

    On the CPU the products skip zeros by a kernel compiled by numba, where numba can be imported. Elsewhere every pixel
    of a map takes part in them (mostly with weight zero), and one that is NaN or infinite makes every box of its image
    NaN in that channel, not only boxes that read it.

    Args:
        features: ``(B, C, H, W)``.
        boxes: ``(B, N, 4)`` xyxy in input pixels, the boxes of each image; a box without area pools zeros if sampling
            is adaptive.
        bins: Rows and columns of bins.
        stride: Input pixels per pixel of the map.
        sampling_ratio: Points of a bin in each direction; 0: as many as the bin has pixels, rounded up.
        aligned: Whether pixel centres lie at half-integer coordinates. ``False`` is the older form, which also enlarges
            boxes to at least one pixel of the map.

    Returns:
        ``(B, N, C, bins, bins)``, rows before columns; not contiguous.

    Raises:
        ShapeError: ``features`` or ``boxes`` have the wrong shape.
        ConfigError: ``bins`` is not positive or ``sampling_ratio`` is negative.

    Example:
        >>> ramp = torch.arange(8.0).expand(1, 1, 8, 8)
        >>> roi_align(ramp, torch.tensor([[[0.0, 0.0, 8.0, 4.0]]]), 2)
        tensor([[[[[1.5000, 5.5000],
                   [1.5000, 5.5000]]]]])
    """
    if features.dim() != 4:
        raise ShapeError(f'roi_align: features have shape {tuple(features.shape)}, expected (B, C, H, W).')
    size = (features.shape[2], features.shape[3])
    if torch.onnx.is_in_onnx_export():
        return _as_onnx(features, boxes, bins, stride=stride, sampling_ratio=sampling_ratio, aligned=aligned)
    rows, columns = roi_align_weights(boxes, size, bins, stride=stride, sampling_ratio=sampling_ratio, aligned=aligned)
    if features.shape[0] != boxes.shape[0]:
        raise ShapeError(
            f'roi_align: features of {features.shape[0]} images and boxes of {boxes.shape[0]}; give each image its '
            'list of boxes, padded with zeros.'
        )
    return pool_boxes(features, rows, columns)


@torch.no_grad()
def roi_align_weights(
    boxes: Tensor,
    size: tuple[int, int],
    bins: int = 7,
    *,
    stride: float = 1,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> tuple[Tensor, Tensor]:
    """How much each row and each column of a map adds to each bin; see :func:`roi_align`.

    Several maps of one size share these matrices (:func:`pool_boxes`).

    Args:
        boxes: ``(B, N, 4)`` xyxy in input pixels.
        size: Map ``(height, width)``.
        bins: Rows and columns of bins.
        stride: Input pixels per pixel of the map.
        sampling_ratio: Points of a bin in each direction; 0: as many as the bin has pixels, rounded up.
        aligned: Whether pixel centres lie at half-integer coordinates.

    Returns:
        Weights of rows ``(B, N, bins, height)`` and of columns ``(B, N, bins, width)``, float64. Those of a bin add up
        to the share of its points that are not outside.

    Raises:
        ShapeError: ``boxes`` has the wrong shape.
        ConfigError: ``bins`` is not positive or ``sampling_ratio`` is negative.

    Example:
        >>> roi_align_weights(torch.tensor([[[0.0, 0.0, 4.0, 2.0]]]), (3, 5), 2)[1]
        tensor([[[[0.5000, 0.5000, 0.0000, 0.0000, 0.0000],
                  [0.0000, 0.0000, 0.5000, 0.5000, 0.0000]]]], dtype=torch.float64)
    """
    if bins <= 0 or sampling_ratio < 0:
        raise ConfigError(
            f'roi_align: bins={bins} must be positive and sampling_ratio={sampling_ratio} must be positive or 0.'
        )
    if boxes.dim() != 3 or boxes.shape[2] != 4:
        raise ShapeError(f'roi_align: boxes have shape {tuple(boxes.shape)}, expected (B, N, 4).')
    boxes = boxes if boxes.dtype == torch.float64 else boxes.float()
    x1, y1, x2, y2 = (boxes / stride - (0.5 if aligned else 0.0)).unbind(-1)
    smallest = 0.0 if aligned else 1.0
    rows, columns = (
        _axis_weights(low, (high - low).clamp(min=smallest) / bins, length, bins, sampling_ratio)
        for low, high, length in ((y1, y2, size[0]), (x1, x2, size[1]))
    )
    return rows, columns


def pool_boxes(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Contract the rows and columns of maps with those of boxes.

    Args:
        features: ``(B, C, H, W)``.
        rows: ``(B, N, bins, H)``, cast to the dtype of the features.
        columns: ``(B, N, bins, W)``, likewise.

    Returns:
        ``(B, N, C, bins, bins)``, not contiguous.

    Example:
        >>> pool_boxes(torch.ones(1, 3, 2, 4), torch.ones(1, 5, 7, 2), torch.ones(1, 5, 7, 4)).shape
        torch.Size([1, 5, 3, 7, 7])
    """
    rows, columns = rows.to(features.dtype), columns.to(features.dtype)
    if _can_compile(features, rows, columns):
        pooled: Tensor = _CompiledPool.apply(features, rows, columns)
        return pooled.movedim(-1, 2)
    return _pool_by_products(features, rows, columns)


def _can_compile(values: Tensor, rows: Tensor, columns: Tensor) -> bool:
    if values.dtype not in (torch.float32, torch.float64) or rows.requires_grad or columns.requires_grad:
        return False
    return on_host(values, rows, columns) and roi_kernels() is not None


def _pool_by_products(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    batch, channels, height, _ = features.shape
    slots, bins = rows.shape[1:3]
    # Columns first: they are contiguous, and images are wider than high, so less is left for the second product.
    narrow = torch.bmm(features.flatten(1, 2), columns.flatten(1, 2).transpose(1, 2))
    narrow = narrow.view(batch, channels, height, slots, bins).permute(0, 3, 2, 1, 4)
    pooled = torch.matmul(rows, narrow.reshape(batch, slots, height, channels * bins))
    return pooled.view(batch, slots, bins, channels, bins).transpose(2, 3)


def _spread_boxes(gradient: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Gradient ``(B, C, H, W)`` of the features from that of the pooled boxes, ``(B, N, bins, bins, C)``."""
    if _can_compile(gradient, rows, columns):
        spread: Tensor = _CompiledSpread.apply(gradient, rows, columns)
        return spread
    batch, slots, bins, _, channels = gradient.shape
    narrow = torch.matmul(rows.transpose(2, 3), gradient.reshape(batch, slots, bins, -1))
    narrow = narrow.view(batch, slots, rows.shape[3], bins, channels).permute(0, 4, 2, 1, 3)
    spread = torch.bmm(narrow.reshape(batch, -1, slots * bins), columns.reshape(batch, slots * bins, -1))
    return spread.view(batch, channels, rows.shape[3], columns.shape[3])


class _CompiledPool(torch.autograd.Function):
    """:func:`pool_boxes` by compiled kernels, channels last; the weights have no gradient."""

    @staticmethod
    def forward(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        batch, slots, bins = rows.shape[:3]
        pooled = features.new_empty(batch, slots, bins, bins, features.shape[1])
        roi_kernels().pool_rows(*as_arrays(features, rows, columns, pooled))
        return pooled

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _spread_boxes(gradients[0], *ctx.saved_tensors), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return pool_boxes(tangents[0], *ctx.saved_tensors).movedim(2, -1)


class _CompiledSpread(torch.autograd.Function):
    """:func:`_spread_boxes` by compiled kernels, likewise."""

    @staticmethod
    def forward(gradient: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        spread = gradient.new_zeros(gradient.shape[0], gradient.shape[4], rows.shape[3], columns.shape[3])
        roi_kernels().spread_rows(*as_arrays(gradient, rows, columns, spread))
        return spread

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return pool_boxes(gradients[0], *ctx.saved_tensors).movedim(2, -1), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return _spread_boxes(tangents[0], *ctx.saved_tensors)


def _as_onnx(features: Tensor, boxes: Tensor, bins: int, **options: Any) -> Tensor:
    """Let ``torch.onnx.export`` write :func:`roi_align` as ONNX's operator of that name."""
    batch, slots = boxes.shape[:2]
    images = torch.arange(batch, device=boxes.device).unsqueeze(1).expand(batch, slots).flatten()
    pooled: Tensor = _OnnxRoiAlign.apply(features, boxes.flatten(0, 1), images, bins, options)
    return pooled.view(batch, slots, -1, bins, bins)


class _OnnxRoiAlign(torch.autograd.Function):
    """Boxes ``(S, 4)`` of the images ``(S,)`` to ``(S, C, bins, bins)``; has a form in ONNX, and no gradient."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, boxes: Tensor, images: Tensor, bins: int, options: dict[str, Any]
    ) -> Tensor:
        size = (features.shape[2], features.shape[3])
        listed = boxes.detach().view(features.shape[0], -1, 4)
        return _pool_by_products(
            features, *(part.to(features.dtype) for part in roi_align_weights(listed, size, bins, **options))
        ).flatten(0, 1)

    @staticmethod
    def symbolic(g: Any, features: Any, boxes: Any, images: Any, bins: int, options: dict[str, Any]) -> Any:
        return g.op(
            'RoiAlign',
            features,
            boxes,
            images,
            coordinate_transformation_mode_s='half_pixel' if options['aligned'] else 'output_half_pixel',
            output_height_i=bins,
            output_width_i=bins,
            sampling_ratio_i=options['sampling_ratio'],
            spatial_scale_f=1 / options['stride'],
        )


def _axis_weights(start: Tensor, bin_size: Tensor, length: int, bins: int, sampling_ratio: int) -> Tensor:
    r"""Weights of one axis ``(B, N, bins, length)``, float64, of intervals that begin at ``start (B, N)``.

    Reading at a position v linearly is a sum of steps: with :math:`c_k(v) = \operatorname{clamp}(v - k, 0, 1)` pixel k
    gets the weight :math:`c_{k-1}(v) - c_k(v)`, where the first and the last pixel, which also serve positions beyond
    them, have :math:`c_{-1} = 1` and :math:`c_{length-1} = 0`. The points of a bin are equidistant, so the sum of
    :math:`c_k` over them needs only the numbers of points below k and below k + 1, whatever the number of points.
    """
    # The number of points is rounded up in the precision of the boxes, as mmcv does; what follows would lose digits.
    points = bin_size.ceil() if sampling_ratio == 0 else torch.full_like(bin_size, sampling_ratio)
    points, size = points.double()[..., None, None], bin_size.double()[..., None, None]
    # A box without area has all its points at its start; the division below must not be by zero.
    step = (size / points.clamp(min=1)).clamp(min=1e-30)
    first = start.double()[..., None, None] + size * torch.arange(bins, device=start.device).unsqueeze(1) + step / 2

    outside_below = ((-1 - first) / step).ceil().clamp(min=0).minimum(points)
    inside_end = ((length - first) / step).floor().add(1).clamp(min=0).minimum(points)
    pixels = torch.arange(length, device=start.device)
    below = ((pixels - first) / step).ceil().maximum(outside_below).minimum(inside_end)
    under, upper = below[..., :-1], below[..., 1:]
    # Points above the next pixel count 1, those between count their distance, whose mean is that of the first and last.
    between = first + step * (under + upper - 1) / 2 - pixels[:-1]
    steps = inside_end - upper + (upper - under) * between
    inside = inside_end - outside_below
    weights = torch.cat([inside, steps], -1) - torch.cat([steps, torch.zeros_like(inside)], -1)
    return weights / points.clamp(min=1)

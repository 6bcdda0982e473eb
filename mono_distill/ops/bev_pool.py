"""Lift, splat: image features weighted by depth, summed into bird's-eye-view cells, without the volume between."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mono_distill.ops.point_sampler import Range, check_range
from mono_distill.ops.weighted_bags import BagPlan, bag_plan, weighted_bag_sum
from mono_distill.utils.errors import ConfigError, ShapeError

Rounding = Literal['floor', 'trunc']


class BEVPoolIndices(NamedTuple):
    """Where the points of a frustum fall on the map; made once per geometry by :func:`bev_pool_indices`.

    Attributes:
        plan: Pixels to cells, in the orders for forward and backward.
        points: ``(P,)`` position of each entry of the plan in the flattened depth ``(B, N, D, h, w)``, int32.
        kept: ``(P,)`` bool, whether the point is on the map; ``None`` when the list holds no others.
        frustum: ``(B, N, D, h, w)``.
        size: Map ``(H, W)``.
    """

    plan: BagPlan
    points: Tensor
    kept: Tensor | None
    frustum: tuple[int, int, int, int, int]
    size: tuple[int, int]


def bev_pool_indices(
    points: Tensor,
    size: tuple[int, int],
    *,
    x_range: Range,
    y_range: Range,
    z_range: Range,
    rounding: Rounding = 'floor',
    compact: bool | None = None,
) -> BEVPoolIndices:
    """Find the cell of every frustum point and sort the points by cell.

    One stable sort of integers. Needed again only when the geometry changes: in every training step if the scene is
    rotated at random, once for a fixed rig in inference.

    Args:
        points: ``(B, N, D, h, w, 3)``, x, y and z in metres of depth bin d of pixel (v, u) of camera n, in the frame of
            the map. Points outside the ranges, and points that are not finite, are dropped.
        size: Map ``(H, W)``, H along y and W along x.
        x_range: x of the left edge of column 0 and of the right edge of the last column, in metres.
        y_range: The same for the rows.
        z_range: Heights that are pooled, in metres.
        rounding: ``'floor'``, or ``'trunc'`` for weights trained with official BEVDepth
            (``bevdepth/layers/backbones/base_lss_fpn.py:524``), which truncates towards zero: points up to one cell
            before the first row or column, and up to the whole height range below the range, then count too.
        compact: Whether to remove the dropped points from the lists, which saves their share of the time but makes the
            host wait for their number. ``None`` does so on a CPU, where there is nothing to wait for. Without it,
            dropped points stay with weight zero, and a feature that is not finite reaches cells it does not belong to.

    Raises:
        ShapeError: ``points`` is not ``(B, N, D, h, w, 3)``.
        ConfigError: A range is empty, or ``rounding`` is unknown.

    Example:
        >>> points = torch.tensor([[1.5, 0.5, 0.0], [9.0, 0.5, 0.0]]).view(1, 1, 2, 1, 1, 3)
        >>> indices = bev_pool_indices(points, (2, 4), x_range=(0, 4), y_range=(0, 2), z_range=(-5, 3))
        >>> indices.plan.bags, indices.points
        (tensor([1], dtype=torch.int32), tensor([0], dtype=torch.int32))
    """
    if points.dim() != 6 or points.shape[-1] != 3:
        raise ShapeError(f'bev_pool_indices: expected points (B, N, D, h, w, 3), got {tuple(points.shape)}.')
    if rounding not in ('floor', 'trunc'):
        raise ConfigError(f"bev_pool_indices: rounding must be 'floor' or 'trunc', got '{rounding}'.")
    batch, cameras, bins, height, width = points.shape[:5]
    frustum = (batch, cameras, bins, height, width)
    cells, kept = _cells(points, size, (x_range, y_range, z_range), rounding)
    num_cells, num_pixels = batch * size[0] * size[1], batch * cameras * height * width
    position = torch.arange(cells.numel(), dtype=torch.int32, device=points.device)
    position = position.view(frustum).permute(0, 1, 3, 4, 2).flatten()
    pixels = torch.arange(num_pixels, dtype=torch.int32, device=points.device).repeat_interleave(bins)
    if compact or (compact is None and points.device.type == 'cpu'):
        cells, pixels, position = cells[kept], pixels[kept], position[kept]
    else:
        # With weight zero, evenly over all cells: one bag of them all would be summed by a single thread of a GPU.
        spread = torch.arange(cells.numel(), dtype=torch.int32, device=points.device) % num_cells
        cells = torch.where(kept, cells, spread)
    cells, order = cells.sort(stable=True)
    row_order = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel(), device=order.device))
    plan = bag_plan(pixels[order], cells, num_rows=num_pixels, num_bags=num_cells, row_order=row_order)
    left = kept[order] if kept.numel() == order.numel() else None
    return BEVPoolIndices(plan, position[order], left, frustum, (size[0], size[1]))


def bev_pool(context: Tensor, depth: Tensor, indices: BEVPoolIndices) -> Tensor:
    r"""Pool image features into BEV cells, weighted by the probability of their depth.

    .. math:: V_{b,c}(q) = \sum_{(n,d,v,u) \to q} p_{b,n,d,v,u} \, f_{b,n,c,v,u}

    The sum runs over the frustum points of all cameras that fall into cell q (Lift-Splat-Shoot, ECCV 2020; computed as
    by `BEVPoolV2 <https://arxiv.org/abs/2211.17111>`_): every product is made where it is added, so the frustum volume
    of D times the features is never stored, not for the backward pass either.

    Args:
        context: ``(B, N, C, h, w)`` features. Half precision is raised to float32: a cell may sum hundreds of points.
        depth: ``(B, N, D, h, w)`` weights of the depth bins, usually a softmax over D.
        indices: From :func:`bev_pool_indices`.

    Returns:
        ``(B, C, H, W)``, H along y and W along x, in channels-last memory; cells without points are zero.

    Raises:
        ShapeError: Context or depth do not fit the indices.

    Example:
        >>> points = torch.tensor([[1.5, 0.5, 0.0], [2.5, 0.5, 0.0]]).view(1, 1, 2, 1, 1, 3)
        >>> indices = bev_pool_indices(points, (2, 4), x_range=(0, 4), y_range=(0, 2), z_range=(-5, 3))
        >>> depth = torch.tensor([0.75, 0.25]).view(1, 1, 2, 1, 1)
        >>> bev_pool(torch.full((1, 1, 1, 1, 1), 8.0), depth, indices)
        tensor([[[[0., 6., 2., 0.],
                  [0., 0., 0., 0.]]]])
    """
    context, depth = _checked(context, depth, indices)
    weights = depth.flatten().index_select(0, indices.points)
    if indices.kept is not None:
        weights = torch.where(indices.kept, weights, 0)
    rows = context.permute(0, 1, 3, 4, 2).reshape(-1, context.shape[2])
    with torch.autocast(context.device.type, enabled=False):
        pooled = weighted_bag_sum(rows, weights, indices.plan)
    return pooled.view(context.shape[0], *indices.size, -1).permute(0, 3, 1, 2)


def bev_pool_reference(context: Tensor, depth: Tensor, indices: BEVPoolIndices) -> Tensor:
    """:func:`bev_pool` in the straightforward form: the whole volume, then ``index_add``. For tests and comparisons.

    Args:
        context: ``(B, N, C, h, w)``.
        depth: ``(B, N, D, h, w)``.
        indices: From :func:`bev_pool_indices`.

    Returns:
        ``(B, C, H, W)``.

    Raises:
        ShapeError: Context or depth do not fit the indices.
    """
    context, depth = _checked(context, depth, indices)
    channels, (height, width) = context.shape[2], indices.size
    volume = depth.unsqueeze(3) * context.unsqueeze(2)
    values = volume.permute(0, 1, 2, 4, 5, 3).reshape(-1, channels)[indices.points.long()]
    if indices.kept is not None:
        values = torch.where(indices.kept.unsqueeze(1), values, 0)
    cells = values.new_zeros(context.shape[0] * height * width, channels).index_add(0, indices.plan.bags.long(), values)
    return cells.view(-1, height, width, channels).permute(0, 3, 1, 2)


def _checked(context: Tensor, depth: Tensor, indices: BEVPoolIndices) -> tuple[Tensor, Tensor]:
    """Return both in one dtype of full precision, or raise an error that says what does not fit."""
    batch, cameras, _, height, width = indices.frustum
    fits = context.dim() == 5 and context.shape[:2] == (batch, cameras) and context.shape[3:] == (height, width)
    if not fits or tuple(depth.shape) != indices.frustum:
        raise ShapeError(
            f'bev_pool: context {tuple(context.shape)} and depth {tuple(depth.shape)}, but the indices are for '
            f'({batch}, {cameras}, C, {height}, {width}) and {indices.frustum}.'
        )
    dtype = torch.promote_types(torch.promote_types(context.dtype, depth.dtype), torch.float32)
    return context.to(dtype), depth.to(dtype)


def _cells(
    points: Tensor, size: tuple[int, int], ranges: tuple[Range, Range, Range], rounding: Rounding
) -> tuple[Tensor, Tensor]:
    """Cell of each point, counted through the batch, and whether the point is on the map: flat ``(B, N, h, w, D)``.

    Depth comes last: the points are then ordered by pixel, and only the order by cell needs a sort.
    """
    counts = (size[1], size[0], 1)
    batch = points.shape[0]
    places, kept = [], []
    # Half precision would put points of the far cells into their neighbours.
    points = points.detach()
    points = points.float() if points.dtype in (torch.float16, torch.bfloat16) else points
    axes = points.permute(5, 0, 1, 3, 4, 2).reshape(3, batch, -1)
    for values, limits, count, name in zip(axes, ranges, counts, 'xyz', strict=True):
        check_range(limits, f'{name}_range')
        # A tensor: by a number a GPU multiplies with its rounded inverse, which moves points on borders.
        cell = values.new_full((1,), (limits[1] - limits[0]) / count)
        place = (values - limits[0]) / cell
        low = place >= 0 if rounding == 'floor' else place > -1
        kept.append(low & (place < count))
        # Zero where it is not kept: the integer of a number that is too large, or of NaN, is undefined. Conversion
        # truncates, which is floor for numbers that are not negative.
        places.append(torch.where(kept[-1], place, 0).int())
    sample = torch.arange(batch, dtype=torch.int32, device=points.device).unsqueeze(1)
    cells = (sample * size[0] + places[1]) * size[1] + places[0]
    return cells.flatten(), (kept[0] & kept[1] & kept[2]).flatten()

"""Assignment of points to voxels, in pure PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def dynamic_voxelize_forward(points: Tensor, voxel_size: Tensor, coors_range: Tensor, coors: Tensor, NDim: int) -> None:
    """Write each point's voxel into ``coors``; the form of ``mmcv._ext.dynamic_voxelize_forward``.

    Args:
        points: (N, >= NDim) points, metres; the first NDim columns are x, y, z.
        voxel_size: (NDim,) size of a voxel in x, y, z, metres.
        coors_range: (2 * NDim,) lower, then upper bounds in x, y, z, metres.
        coors: (N, NDim) int32, receives the voxel as z, y, x, or -1 where the point is outside.
        NDim: Number of spatial dimensions.
    """
    cells, inside = _cells(points, voxel_size, coors_range, NDim)
    coors.copy_(torch.where(inside[:, None], cells.flip(1), -1))


@torch.no_grad()
def hard_voxelize_forward(
    points: Tensor,
    voxel_size: Tensor,
    coors_range: Tensor,
    voxels: Tensor,
    coors: Tensor,
    num_points_per_voxel: Tensor,
    voxel_num: Tensor,
    max_points: int,
    max_voxels: int,
    NDim: int = 3,
    deterministic: bool = True,
) -> None:
    """Collect the points of each voxel; the form of ``mmcv._ext.hard_voxelize_forward``.

    Voxels are numbered by their first point and points kept in their order, as in mmcv's deterministic form; the first
    ``max_voxels`` voxels and ``max_points`` points of each are kept, -1 meaning as many as the outputs hold.

    Args:
        points: (N, C) points, metres.
        voxel_size: (NDim,) size of a voxel in x, y, z, metres.
        coors_range: (2 * NDim,) lower, then upper bounds in x, y, z, metres.
        voxels: (V, P, C) zeros, receives the points.
        coors: (V, NDim) int32, receives each voxel as z, y, x.
        num_points_per_voxel: (V,) int32, receives the number of points kept in each voxel.
        voxel_num: 0-dim integer, receives the number of voxels.
        max_points: Most points of a voxel.
        max_voxels: Most voxels.
        NDim: Number of spatial dimensions.
        deterministic: Not used; the result always is.
    """
    max_points = voxels.size(1) if max_points < 0 else max_points
    max_voxels = voxels.size(0) if max_voxels < 0 else max_voxels
    cells, inside = _cells(points, voxel_size, coors_range, NDim)
    points, cells = points[inside], cells[inside]
    voxel, found = _number_by_first_appearance(_keys(cells))
    slot = _rank_within_group(voxel)

    fits = (voxel < max_voxels) & (slot < max_points)
    voxel, slot = voxel[fits], slot[fits]
    voxels[voxel, slot] = points[fits].to(voxels.dtype)
    coors[voxel] = cells[fits].flip(1).to(coors.dtype)
    count = min(found, max_voxels)
    num_points_per_voxel[:count] = voxel.bincount(minlength=count).to(num_points_per_voxel.dtype)
    voxel_num.fill_(count)


def _cells(points: Tensor, voxel_size: Tensor, coors_range: Tensor, ndim: int) -> tuple[Tensor, Tensor]:
    """Return each point's cell (N, ndim) int64 as x, y, z and whether it is inside the range (N,)."""
    xyz = points[:, :ndim]
    if xyz.dtype in (torch.float16, torch.bfloat16):
        xyz = xyz.float()
    lower, upper = coors_range[:ndim].to(xyz), coors_range[ndim : 2 * ndim].to(xyz)
    size = voxel_size.to(xyz)
    cells = ((xyz - lower) / size).floor()
    inside = ((cells >= 0) & (cells < ((upper - lower) / size).round())).all(dim=1)  # False for nan
    return torch.where(inside[:, None], cells, 0).long(), inside


def _keys(cells: Tensor) -> Tensor:
    """Return one int64 number for each cell (N,), the same for equal cells only."""
    if not len(cells):
        return cells.new_empty(0)
    extent = cells.max(dim=0).values + 1
    strides = torch.cat([extent.new_ones(1), extent[:-1].cumprod(0)])
    return (cells * strides).sum(dim=1)


def _number_by_first_appearance(keys: Tensor) -> tuple[Tensor, int]:
    """Number equal keys alike (N,), in the order in which they first appear; also how many different ones there are."""
    unique, group = keys.unique(return_inverse=True)
    position = torch.arange(len(keys), device=keys.device)
    first = position.new_full((len(unique),), len(keys)).scatter_reduce_(0, group, position, 'amin')
    number = torch.empty_like(first)
    number[first.argsort()] = torch.arange(len(unique), device=keys.device)
    return number[group], len(unique)


def _rank_within_group(group: Tensor) -> Tensor:
    """Return how many earlier rows belong to the same group (N,)."""
    order = group.argsort(stable=True)
    counts = group.bincount()
    start = (counts.cumsum(0) - counts)[group[order]]
    rank = torch.empty_like(group)
    rank[order] = torch.arange(len(group), device=group.device) - start
    return rank

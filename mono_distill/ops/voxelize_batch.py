"""Points of several clouds collected in voxels, all clouds at once and on any device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from mono_distill.utils.errors import ConfigError, ShapeError

_INT32_LIMIT = 2**31 - 1


@torch.no_grad()
def voxelize_batch(
    clouds: Sequence[Tensor],
    *,
    voxel_size: Sequence[float],
    point_cloud_range: Sequence[float],
    max_num_points: int,
    max_voxels: int,
) -> dict[str, Tensor]:
    r"""Hard voxelisation of a batch, with the result of mmcv's deterministic CPU kernel, cloud by cloud.

    A point belongs to the voxel :math:`\lfloor (p - p_{min}) / s \rfloor` (float32 for float32 points); those outside
    of the range, or not finite, to none. The voxels of a cloud stand in the order of their first points; only the first
    ``max_voxels`` of them are kept, and of each its first ``max_num_points`` points, in the order of the cloud.

    One stable sort by voxel brings the points of all clouds together, so the result is the same in every run on every
    device. The host waits for the device once, to read how many voxels the clouds have. mmcv's deterministic CUDA
    kernel goes through the points of each cloud in a single thread; its fast one keeps other points of full voxels in
    every run.

    Args:
        clouds: At least one, each ``(n, C)``, the first three columns x, y, z in metres; any may be empty.
        voxel_size: In x, y, z, metres.
        point_cloud_range: Lower, then upper bounds of x, y, z in metres.
        max_num_points: Most points of a voxel.
        max_voxels: Most voxels of a cloud.

    Returns:
        ``voxels`` ``(M, max_num_points, C)``, zeros behind the points of a voxel; ``num_points`` ``(M,)`` int32;
        ``coors`` ``(M, 4)`` int32 of cloud, z, y, x. The voxels of the first cloud come first.

    Raises:
        ConfigError: The grid is empty or a limit is not positive.
        ShapeError: A cloud has fewer than three columns, or another number of them than the first.

    Example:
        >>> cloud = torch.tensor([[0.5, 0.5, 0.0], [3.5, 0.0, 0.0], [0.1, 0.9, 0.0], [9.0, 0.0, 0.0]])
        >>> grid = dict(voxel_size=(1, 1, 4), point_cloud_range=(0, 0, -2, 4, 4, 2))
        >>> found = voxelize_batch([cloud[:1], cloud], **grid, max_num_points=5, max_voxels=10)
        >>> found['coors'], found['num_points']
        (tensor([[0, 0, 0, 0],
                [1, 0, 0, 0],
                [1, 0, 0, 3]], dtype=torch.int32), tensor([1, 2, 1], dtype=torch.int32))
    """
    grid = _grid_shape(voxel_size, point_cloud_range)
    if max_num_points < 1 or max_voxels < 1:
        raise ConfigError(
            f'voxelize_batch: max_num_points and max_voxels must be positive, got {max_num_points} and {max_voxels}.'
        )
    _check_clouds(clouds)
    # The row behind the points is what stands in slots without one.
    points = torch.cat([*clouds, clouds[0].new_zeros(1, clouds[0].shape[1])])
    keys = _keys(points[:-1], [len(cloud) for cloud in clouds], voxel_size, point_cloud_range, grid)
    ordered, order = keys.sort(stable=True)
    begin, length = _voxels(ordered, order, len(clouds), math.prod(grid), max_voxels)
    count = length.clamp(max=max_num_points).unsqueeze(1)
    slot = torch.arange(max_num_points, device=points.device)
    filled = slot < count
    source = order.index_select(0, torch.where(filled, begin.unsqueeze(1) + slot, 0).flatten())
    source = torch.where(filled.flatten(), source, len(order))
    return dict(
        voxels=points.index_select(0, source).view(*filled.shape, points.shape[1]),
        num_points=count.squeeze(1).int(),
        coors=_coordinates(ordered[begin], grid),
    )


def _voxels(ordered: Tensor, order: Tensor, samples: int, cells: int, max_voxels: int) -> tuple[Tensor, Tensor]:
    """Where in the sorted order the points of each voxel that is kept begin, and how many they are."""
    head = torch.ones_like(ordered, dtype=torch.bool)
    head[1:] = ordered[1:] != ordered[:-1]
    found = torch.nn.functional.pad(head.cumsum(0), (1, 0))
    # The points of cloud s stand from limits[s] to limits[s + 1], those outside of the range behind them.
    borders = torch.arange(samples + 1, device=ordered.device, dtype=ordered.dtype) * cells
    limits = torch.searchsorted(ordered, borders)
    counts = found[limits].diff().tolist()
    total = sum(counts)
    # Beyond the last voxel: the points outside of the range, and everything that is no head.
    number = torch.where(head, found[1:] - 1, total).clamp(max=total)
    begin = order.new_empty(total + 1).index_put_((number,), torch.arange(len(order), device=order.device))
    begin[-1] = limits[-1]
    length = begin.diff()
    # The sort is stable: the first of a voxel's points in the sorted order is its first in the cloud.
    voxels = order[begin[:-1]].argsort()
    if max(counts) > max_voxels:
        voxels = torch.cat([part[:max_voxels] for part in voxels.split(counts)])
    return begin[voxels], length[voxels]


def _grid_shape(voxel_size: Sequence[float], bounds: Sequence[float]) -> tuple[int, int, int]:
    """Voxels along x, y and z."""
    if len(voxel_size) != 3 or len(bounds) != 6 or not min(voxel_size) > 0:
        raise ConfigError(
            'voxelize_batch: needs a voxel_size of 3 positive numbers and a point_cloud_range of 6, got '
            f'{tuple(voxel_size)} and {tuple(bounds)}.'
        )
    # In float32, as mmcv does.
    limits, size = (torch.tensor(x, dtype=torch.float32, device='cpu') for x in (list(bounds), list(voxel_size)))
    x, y, z = ((limits[3:] - limits[:3]) / size).round().int().tolist()
    if min(x, y, z) < 1:
        raise ConfigError(f'voxelize_batch: no voxel of {tuple(voxel_size)} fits into the range {tuple(bounds)}.')
    return x, y, z


def _check_clouds(clouds: Sequence[Tensor]) -> None:
    shapes = [tuple(cloud.shape) for cloud in clouds]
    if not shapes or any(len(shape) != 2 or shape[1] < 3 or shape[1] != shapes[0][1] for shape in shapes):
        raise ShapeError(f'voxelize_batch: clouds have shapes {shapes}; expected at least one, (n, C) of one C >= 3.')


def _keys(
    points: Tensor,
    sizes: Sequence[int],
    voxel_size: Sequence[float],
    bounds: Sequence[float],
    grid: tuple[int, int, int],
) -> Tensor:
    """Number of each point's voxel among those of all clouds, counted along x, y, z, cloud; beyond all: outside."""
    xyz = points[:, :3]
    if xyz.dtype != torch.float64:
        xyz = xyz.float()
    # Not divided by plain numbers: a GPU would multiply by the inverse, which puts points on a border elsewhere.
    # Filled on the device: a tensor made from numbers would be copied to it while the host waits.
    low, size = (torch.stack([xyz.new_full((), v, dtype=torch.float32) for v in x]) for x in (bounds[:3], voxel_size))
    x, y, z = ((xyz - low.to(xyz.dtype)) / size.to(xyz.dtype)).floor().unbind(1)
    # False for NaN.
    inside = (x >= 0) & (x < grid[0]) & (y >= 0) & (y < grid[1]) & (z >= 0) & (z < grid[2])
    cells = math.prod(grid)
    # Sorting numbers of 32 bits takes half as long.
    dtype = torch.int32 if len(sizes) * cells <= _INT32_LIMIT else torch.int64
    x, y, z = (torch.where(inside, along, 0).to(dtype) for along in (x, y, z))
    keys = (z * grid[1] + y) * grid[0] + x
    for number, part in enumerate(keys.split(list(sizes))):
        part += number * cells
    return torch.where(inside, keys, len(sizes) * cells)


def _coordinates(keys: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Cloud, z, y, x ``(M, 4)`` of voxels."""
    parts = []
    for cells in grid:
        parts.append(keys % cells)
        keys = keys // cells
    return torch.stack([keys, *reversed(parts)], dim=1).int()

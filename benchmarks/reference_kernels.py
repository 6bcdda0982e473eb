"""The straightforward forms that benchmarks/kernels.py compares with.

They follow the descriptions of the official BEVDepth, CaDDN, MonoTAKD, DistillBEV and UniDistill code step by step:
volumes that are stored, loops over objects and pixels. Written anew for comparison; nothing else uses them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def bev_cells(points: Tensor, size: tuple[int, int], reach: float) -> Tensor:
    """Cell of each point of one sample on a square map, with heights from -5 to 3 m; -1 for points off the map."""
    lower = torch.tensor([-reach, -reach, -5.0])
    cell = torch.tensor([2 * reach / size[1], 2 * reach / size[0], 8.0])
    place = ((points - lower) / cell).floor().long()
    kept = ((place >= 0) & (place < torch.tensor([size[1], size[0], 1]))).all(-1)
    return torch.where(kept, place[..., 1] * size[1] + place[..., 0], -1)


def bev_pool(context: Tensor, depth: Tensor, cells: Tensor, size: tuple[int, int]) -> Tensor:
    """Lift-Splat: the volume of all frustum points, those on the map selected and added to their cells."""
    batch, _, channels = context.shape[:3]
    volume = depth.unsqueeze(3) * context.unsqueeze(2)
    points = volume.permute(0, 1, 2, 4, 5, 3).reshape(-1, channels)
    kept = cells.flatten() >= 0
    grid = points.new_zeros(batch * size[0] * size[1], channels)
    grid = grid.index_add(0, cells.flatten()[kept], points[kept])
    return grid.view(batch, *size, channels).permute(0, 3, 1, 2)


def bev_pool_ranks(cells: Tensor, num_pixels: int, bins: int) -> list[Tensor]:
    """BEVPoolV2's preparation: ranks of depth, feature and cell, sorted by cell, and the intervals of equal cells."""
    flat = cells.flatten()
    depth_rank = torch.arange(flat.numel())
    pixels = num_pixels // cells.shape[1] // cells.shape[0]
    feature_rank = depth_rank // (bins * pixels) * pixels + depth_rank % pixels
    kept = flat >= 0
    cell, depth_rank, feature_rank = flat[kept], depth_rank[kept], feature_rank[kept]
    order = cell.argsort()
    cell, depth_rank, feature_rank = cell[order], depth_rank[order], feature_rank[order]
    starts = torch.ones_like(cell, dtype=torch.bool)
    starts[1:] = cell[1:] != cell[:-1]
    begin = torch.where(starts)[0]
    lengths = torch.cat([begin[1:], begin.new_tensor([cell.numel()])]) - begin
    return [cell, depth_rank, feature_rank, begin, lengths]


def frustum_lift(context: Tensor, depth: Tensor, coordinates: Tensor) -> Tensor:
    """CaDDN: the frustum volume, sampled."""
    return F.grid_sample(context.unsqueeze(2) * depth.unsqueeze(1), coordinates, align_corners=False)


def one_hot_depth(targets: Tensor, bins: int) -> Tensor:
    """MonoTAKD: one pixel after another."""
    batch, height, width = targets.shape
    result = torch.zeros(batch, bins, height, width)
    for b in range(batch):
        for v in range(height):
            for u in range(width):
                if targets[b, v, u] < bins:
                    result[b, targets[b, v, u], v, u] = 1
    return result


def cell_centres(size: tuple[int, int], reach: float) -> tuple[Tensor, Tensor]:
    """Metric x and y of the cells of a square map."""
    y = -reach + (torch.arange(size[0]) + 0.5) * (2 * reach / size[0])
    x = -reach + (torch.arange(size[1]) + 0.5) * (2 * reach / size[1])
    return x.expand(size), y.unsqueeze(1).expand(size)


def bev_box_scales(boxes: Tensor, size: tuple[int, int], reach: float) -> Tensor:
    """DistillBEV: every cell tested against every box, in a loop over boxes; the largest scale counts."""
    x, y = cell_centres(size, reach)
    cell = (2 * reach / size[0]) * (2 * reach / size[1])
    result = torch.zeros(boxes.shape[0], *size)
    for b in range(boxes.shape[0]):
        for box in boxes[b]:
            ahead, aside = x - box[0], y - box[1]
            along = box[6].cos() * ahead + box[6].sin() * aside
            across = box[6].cos() * aside - box[6].sin() * ahead
            inside = (along.abs() <= box[3] / 2) & (across.abs() <= box[4] / 2)
            scale = math.sqrt(cell / float(box[3] * box[4]))
            result[b][inside] = result[b][inside].clamp(min=scale)
    return result


def key_point_features(features: Tensor, boxes: Tensor, reach: float) -> Tensor:
    """UniDistill: corners, middles and centre of one box after another, sampled sample by sample."""
    sampled = []
    for b in range(boxes.shape[0]):
        points = []
        for box in boxes[b]:
            x, y, dx, dy, yaw = box[0], box[1], box[3], box[4], box[6]
            signs = [(1, 1), (-1, 1), (-1, -1), (1, -1), (0, 1), (-1, 0), (0, -1), (1, 0), (0, 0)]
            for i, j in signs:
                ahead, left = i * dx / 2, j * dy / 2
                points.append(
                    torch.stack([x + ahead * yaw.cos() - left * yaw.sin(), y + ahead * yaw.sin() + left * yaw.cos()])
                )
        grid = (torch.stack(points) / reach).view(1, -1, 1, 2)
        sampled.append(F.grid_sample(features[b : b + 1], grid, align_corners=False)[0, :, :, 0].T)
    return torch.stack(sampled).view(*boxes.shape[:2], 9, -1)


def rotated_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Pair after pair by the polygons of shapely."""
    from shapely.geometry import Polygon

    def polygon(x, y, dx, dy, yaw):
        c, s = math.cos(yaw), math.sin(yaw)
        corners = [(dx / 2, dy / 2), (-dx / 2, dy / 2), (-dx / 2, -dy / 2), (dx / 2, -dy / 2)]
        return Polygon([(x + c * a - s * b, y + s * a + c * b) for a, b in corners])

    shapes, other_shapes = [polygon(*box) for box in boxes.tolist()], [polygon(*box) for box in others.tolist()]
    result = torch.zeros(len(boxes), len(others), dtype=torch.float64)
    for n, shape in enumerate(shapes):
        for k, other in enumerate(other_shapes):
            shared = shape.intersection(other).area
            result[n, k] = shared / (shape.area + other.area - shared)
    return result

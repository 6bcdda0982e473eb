"""Features at metric points of a bird's-eye-view map."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mono_distill.utils.errors import ConfigError, ShapeError

Range = tuple[float, float]


def sample_bev(features: Tensor, points: Tensor, *, x_range: Range, y_range: Range) -> Tensor:
    r"""Interpolate a BEV map bilinearly at points in metres.

    Columns run along x and rows along y, as in all BEV maps of mmdet3d: the centre of cell :math:`(i, j)` lies at

    .. math:: x = x_0 + (j + \tfrac{1}{2}) (x_1 - x_0) / W, \qquad y = y_0 + (i + \tfrac{1}{2}) (y_1 - y_0) / H

    There the result is the feature of that cell; beyond the outermost centres it falls off to zero, which it reaches
    half a cell outside the map (``align_corners=False``, zero padding). Official UniDistill (line 226 of its
    experiment file ``...camera_exp_distill_lidar.py``) swaps x and y before it samples, that is, it reads the mirror
    image of every point.

    Differentiable with respect to ``features`` and ``points``.

    Args:
        features: ``(B, C, H, W)``, H along y and W along x. Half precision is raised to float32.
        points: ``(B, N, 2)`` or ``(B, ..., 2)``, x and y in metres, in the frame of the map. Points that are not finite
            get zeros and no gradient, so padding may hold anything.
        x_range: x of the left edge of column 0 and of the right edge of the last column, in metres.
        y_range: The same for the rows.

    Returns:
        ``(B, N, C)`` or ``(B, ..., C)``, of the dtype of the raised features.

    Raises:
        ShapeError: The map is not four-dimensional, or the points do not fit it.
        ConfigError: A range is empty.

    Example:
        >>> rows = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
        >>> points = torch.tensor([[[5.0, 5.0], [15.0, 5.0], [10.0, 10.0], [40.0, 5.0]]])
        >>> sample_bev(rows, points, x_range=(0.0, 20.0), y_range=(0.0, 20.0))[0, :, 0]
        tensor([0.0000, 1.0000, 1.5000, 0.0000])
    """
    _check_points(points, 'sample_bev')
    check_range(x_range, 'x_range')
    check_range(y_range, 'y_range')
    if features.dim() != 4 or features.shape[0] != points.shape[0]:
        raise ShapeError(
            f'sample_bev: features {tuple(features.shape)} and points {tuple(points.shape)}; expected (B, C, H, W) and '
            '(B, N, 2) of the same batch.'
        )
    if features.dtype in (torch.float16, torch.bfloat16):
        features = features.float()
    # Positions in float32 at least: a half-precision metre at 50 m is off by 3 cm.
    points = points.to(features.dtype)
    x, y = points.unbind(-1)
    # Plain numbers, not tensors made from them: those would be copied to the device while the host waits.
    x = 2 * (x - x_range[0]) / (x_range[1] - x_range[0]) - 1
    y = 2 * (y - y_range[0]) / (y_range[1] - y_range[0]) - 1
    # -2 is half a map outside.
    grid = torch.where(points.isfinite(), torch.stack([x, y], -1), -2.0)
    with torch.autocast(features.device.type, enabled=False):
        sampled = F.grid_sample(features, grid.flatten(1, -2).unsqueeze(1), align_corners=False)
    return sampled.squeeze(2).transpose(1, 2).unflatten(1, points.shape[1:-1])


def points_in_range(points: Tensor, *, x_range: Range, y_range: Range) -> Tensor:
    """Mark the points that lie on the map.

    Args:
        points: ``(..., 2)``, x and y in metres.
        x_range: From, and up to but not including, in metres.
        y_range: The same for y.

    Returns:
        ``(...)`` bool; ``False`` for points that are not finite.

    Example:
        >>> points_in_range(torch.tensor([[0.0, 0.0], [20.0, 0.0]]), x_range=(0.0, 20.0), y_range=(0.0, 20.0))
        tensor([ True, False])
    """
    _check_points(points, 'points_in_range')
    x, y = points.unbind(-1)
    return (x >= x_range[0]) & (x < x_range[1]) & (y >= y_range[0]) & (y < y_range[1])


def check_range(limits: Range, name: str) -> None:
    """Raise unless ``limits`` is an increasing pair."""
    if len(limits) != 2 or not limits[0] < limits[1]:
        raise ConfigError(f'{name} must be (from, to) in metres with from < to, got {tuple(limits)}.')


def _check_points(points: Tensor, owner: str) -> None:
    if points.dim() < 2 or points.shape[-1] != 2:
        raise ShapeError(f'{owner}: expected points (B, N, 2) of x and y in metres, got {tuple(points.shape)}.')

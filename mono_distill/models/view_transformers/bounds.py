"""Bounds of a view transformer's grid and of its depth bins, as configs write them: ``(from, to, step)`` in metres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mono_distill.ops.depth_bins import depth_bin_targets
from mono_distill.utils.errors import ConfigError

_TOLERANCE = 1e-4


class BEVGrid(NamedTuple):
    """Cells of a bird's-eye-view map in the LiDAR frame; rows run along y, columns along x.

    Attributes:
        x_range: Left edge of column 0 and right edge of the last column, metres.
        y_range: The same for the rows.
        z_range: Heights that are pooled, metres.
        size: Rows and columns ``(H, W)``.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    z_range: tuple[float, float]
    size: tuple[int, int]


class DepthBins(NamedTuple):
    """Depth bins of equal width: bin k begins at ``depth_range[0] + k * step``.

    Attributes:
        depth_range: Near edge of the first and far edge of the last bin, metres.
        bins: Their number D.
    """

    depth_range: tuple[float, float]
    bins: int

    @property
    def step(self) -> float:
        """Width of a bin in metres."""
        return (self.depth_range[1] - self.depth_range[0]) / self.bins

    def classes(self, depth: Tensor) -> Tensor:
        """Return the bin of each depth, int64 of the same shape; what is outside of the range is class ``bins``."""
        return depth_bin_targets(depth, depth_range=self.depth_range, bins=self.bins, spacing='uniform')


def bev_grid(x_bound: Sequence[float], y_bound: Sequence[float], z_bound: Sequence[float]) -> BEVGrid:
    """Turn bounds into a grid.

    Args:
        x_bound: From, to and size of a cell along x, metres.
        y_bound: The same along y.
        z_bound: The same along z; all heights fall into one cell.

    Raises:
        ConfigError: A bound is empty, its step does not divide it, or there is more than one cell along z.

    Example:
        >>> bev_grid((-51.2, 51.2, 0.8), (-51.2, 51.2, 0.8), (-5, 3, 8)).size
        (128, 128)
    """
    width, height = count_steps(x_bound, 'x_bound'), count_steps(y_bound, 'y_bound')
    if count_steps(z_bound, 'z_bound') != 1:
        raise ConfigError(
            f'z_bound {tuple(z_bound)}: all heights fall into one cell; its step must be {z_bound[1] - z_bound[0]}.'
        )
    limits = [(float(bound[0]), float(bound[1])) for bound in (x_bound, y_bound, z_bound)]
    return BEVGrid(limits[0], limits[1], limits[2], (height, width))


def depth_bins(d_bound: Sequence[float]) -> DepthBins:
    """Turn ``(from, to, step)`` into depth bins.

    Raises:
        ConfigError: The bound is empty, begins at or behind the camera, or its step does not divide it.

    Example:
        >>> depth_bins((2.0, 58.0, 0.5)).bins
        112
    """
    bins = count_steps(d_bound, 'd_bound')
    if d_bound[0] <= 0:
        raise ConfigError(f'd_bound {tuple(d_bound)}: depth must begin in front of the camera, above 0 m.')
    return DepthBins((float(d_bound[0]), float(d_bound[1])), bins)


def bin_depths(bins: DepthBins, position: str) -> Tensor:
    """Depth at which a bin's features are placed, ``(D,)``.

    Args:
        bins: The bins.
        position: ``'edge'``, the near edge of the bin, or ``'center'``.

    Raises:
        ConfigError: ``position`` is unknown.

    Example:
        >>> bin_depths(DepthBins((2.0, 4.0), 2), 'center')
        tensor([2.5000, 3.5000])
    """
    if position not in ('edge', 'center'):
        raise ConfigError(f"bin_position must be 'edge' or 'center', got '{position}'.")
    index = torch.arange(bins.bins, dtype=torch.float32)
    return bins.depth_range[0] + bins.step * (index + 0.5 * (position == 'center'))


def count_steps(bound: Sequence[float], name: str) -> int:
    """Return how many steps fill ``bound``.

    Args:
        bound: From, to, step.
        name: Of the option, for the message.

    Raises:
        ConfigError: It is not a whole number of steps, or none.
    """
    if len(bound) != 3:
        raise ConfigError(f'{name} must be (from, to, step) in metres, got {tuple(bound)}.')
    low, high, step = bound
    if not (low < high and step > 0):
        raise ConfigError(f'{name} {tuple(bound)}: need from < to and a step above 0.')
    count = (high - low) / step
    if abs(count - round(count)) > _TOLERANCE:
        raise ConfigError(
            f'{name} {tuple(bound)}: the step does not divide the range, which would hold {count:.4g} cells; choose a '
            f'step such as {(high - low) / max(1, round(count)):.6g}.'
        )
    return round(count)

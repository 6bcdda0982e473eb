"""Features of a bird's-eye-view map where a teacher's heatmap is highest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mono_distill.adapters.sampled_projection import project_samples
from mono_distill.losses.masked import as_float32
from mono_distill.losses.tensor_dict import head_tasks
from mono_distill.ops.point_sampler import Range, check_range, sample_bev
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

_UNIT = (0.0, 1.0)


@MODELS.register_module()
class BEVTopKSampler(nn.Module):
    r"""Reads a map at the centres of the k highest cells of a heatmap; no parameters, but a gradient to the map.

    A cell counts with its largest class of all tasks, and neighbours of a peak are taken too (no suppression of
    non-maxima): losses over points want many of them, not one per object. For
    :class:`mono_distill.losses.CrossCorrelationLoss`, :class:`mono_distill.losses.TemporalSimilarityLoss` and
    :class:`mono_distill.losses.InfoNCELoss`, once for the student and once for the teacher, *both with the teacher's
    heatmap*, so that slot n is the same place on both sides. STXD does not say where it compares dense maps; UVTR and
    BEVDistill use the 900 queries of their decoders, and a CenterHead has no queries. Points of past frames, which
    need no partner, are taken by the heatmap of that frame.

    Feature map and heatmap may have different cells. Where they also show different areas, give the ranges of both.
    Every image has the same number of points, so there is nothing to mask.

    With ``project`` the features go through a linear layer, which is the same as a 1x1 convolution of the map before:
    for a student with other channels than its teacher. A deeper adapter would take the decorrelation of channels, which
    STXD asks for, off the student.

    Args:
        k: Number of points of an image; all cells where the heatmap has fewer.
        x_range: x of the left edge of column 0 and of the right edge of the last column of the feature map, in metres.
            The default, like that of the others, suits maps that show the same area.
        y_range: The same for the rows.
        heatmap_x_range: x of the edges of the heatmap; ``None`` for those of the feature map.
        heatmap_y_range: The same for the rows.
        project: Channels before and after the linear layer; ``None``: no layer.

    Raises:
        ConfigError: ``k`` is not positive or a range is empty.
        ShapeError: On call: heatmap and features do not fit.

    Example:
        >>> sample = BEVTopKSampler(k=2)
        >>> heatmap = torch.tensor([[[[0.0, 3.0], [5.0, 1.0]]]])
        >>> sample(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), heatmap)
        tensor([[[3.],
                 [2.]]])
    """

    def __init__(
        self,
        k: int = 900,
        *,
        x_range: Range = _UNIT,
        y_range: Range = _UNIT,
        heatmap_x_range: Range | None = None,
        heatmap_y_range: Range | None = None,
        project: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if k < 1:
            raise ConfigError(f'BEVTopKSampler: k must be a positive number of points, got {k}.')
        ranges = dict(x_range=x_range, y_range=y_range)
        ranges['heatmap_x_range'] = x_range if heatmap_x_range is None else heatmap_x_range
        ranges['heatmap_y_range'] = y_range if heatmap_y_range is None else heatmap_y_range
        for name, limits in ranges.items():
            check_range(limits, f'BEVTopKSampler: {name}')
        self.k = k
        # Configs hold lists.
        self.ranges: dict[str, Range] = {name: (limits[0], limits[1]) for name, limits in ranges.items()}
        self.linear = nn.Linear(project[0], project[1]) if project is not None else None

    def forward(self, features: Tensor, heatmap: Tensor | Sequence[Any] | Mapping[str, Tensor]) -> Tensor:
        """Sample the highest cells.

        Args:
            features: Map ``(B, C, H, W)``, H along y and W along x; or maps of P past frames ``(B, P, C, H, W)``.
            heatmap: Of the teacher: ``(B, K, h, w)``, logits or probabilities, receives no gradient; or one such map
                per task; or the outputs of an mmdet3d CenterHead as they come. For past frames ``(B, P, K, h, w)``.

        Returns:
            ``(B, k, C)``, highest first; zeros (before the linear layer) at points outside of the feature map. For past
            frames ``(B, P, k, C)``.
        """
        frames = features.shape[:-3]
        best = _class_maximum(heatmap, frames)
        cells = best.flatten(-2).topk(min(self.k, best.shape[-2] * best.shape[-1]), dim=-1).indices
        if self._same_area and features.shape[-2:] == best.shape[-2:]:
            # The centres of the highest cells are those of cells of the map: nothing lies between, nothing outside.
            places = cells.unsqueeze(-2).expand(*cells.shape[:-1], features.shape[-3], -1)
            sampled = as_float32(features.flatten(-2).gather(-1, places)).transpose(-1, -2)
        else:
            points, maps = self._points(cells, best.shape[-2:]).flatten(0, -3), features.flatten(0, -4)
            sampled = sample_bev(maps, points, x_range=self.ranges['x_range'], y_range=self.ranges['y_range'])
            sampled = sampled.unflatten(0, frames)
        return project_samples(sampled, self.linear, owner='BEVTopKSampler')

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return ', '.join([f'k={self.k}', *(f'{name}={limits}' for name, limits in self.ranges.items())])

    def _points(self, cells: Tensor, size: Sequence[int]) -> Tensor:
        """Centres of cells ``(..., k)`` of the heatmap, x and y in metres: ``(..., k, 2)``."""
        height, width = size
        (left, right), (low, high) = self.ranges['heatmap_x_range'], self.ranges['heatmap_y_range']
        x = left + (cells % width + 0.5) * ((right - left) / width)
        y = low + (cells // width + 0.5) * ((high - low) / height)
        return torch.stack([x, y], -1)

    @property
    def _same_area(self) -> bool:
        ranges = self.ranges
        return ranges['x_range'] == ranges['heatmap_x_range'] and ranges['y_range'] == ranges['heatmap_y_range']


def _class_maximum(heatmap: Tensor | Sequence[Any] | Mapping[str, Tensor], frames: Sequence[int]) -> Tensor:
    """Largest class of all tasks ``(*frames, h, w)``; lowest where it is NaN."""
    tasks = [task['heatmap'] if isinstance(task, Mapping) else task for task in head_tasks(heatmap)]
    shapes = [tuple(task.shape) for task in tasks]
    fits = [
        len(shape) == len(frames) + 3 and shape[:-3] == tuple(frames) and shape[-2:] == shapes[0][-2:]
        for shape in shapes
    ]
    if not tasks or not frames or not all(fits):
        wanted = ', '.join(str(size) for size in frames)
        raise ShapeError(
            f'BEVTopKSampler: heatmap has shapes {shapes}; expected maps ({wanted}, K, h, w) of one size, at least one.'
        )
    best = torch.cat(tasks, -3).detach().amax(-3)
    return torch.where(best.isnan(), -torch.inf, best)

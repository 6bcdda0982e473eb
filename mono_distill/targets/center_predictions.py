"""Detections of a CenterHead in the form in which query-based detectors give theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.losses.masked import as_float32
from mono_distill.losses.tensor_dict import head_tasks, require_tensors
from mono_distill.ops.point_sampler import Range, check_range
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

_NAME = 'center_predictions'
_MAPS = {'reg': 2, 'height': 1, 'dim': 3, 'rot': 2}


@torch.no_grad()
def center_predictions(
    heads: Sequence[Any] | Mapping[str, Tensor],
    *,
    x_range: Range,
    y_range: Range,
    topk: int = 300,
    score_thr: float = 0.05,
    log_sizes: bool = True,
) -> dict[str, Tensor]:
    """Read the peaks of a CenterHead's heatmaps.

    A peak is a cell that is the highest of its 3 x 3 neighbours in its class. Its logits are those of *all* classes at
    the cell, task after task, so that their order is that of the head's tasks; its box is that of its task. Nothing
    waits for the device: there are always as many slots, and those without a peak are not valid.

    Args:
        heads: Per task ``heatmap`` (B, c, H, W) logits, ``reg`` (2 channels, position in the cell), ``height`` (of the
            gravity centre, metres), ``dim`` (3), ``rot`` (sine, cosine) and ``vel`` (2, may be missing); each may be in
            a list of its own, as mmdet3d's CenterHead returns it.
        x_range: x of the left edge of column 0 and of the right edge of the last column, in metres.
        y_range: The same for the rows.
        topk: Slots R.
        score_thr: Peaks of a lower probability do not count.
        log_sizes: Whether ``dim`` holds logarithms (``norm_bbox`` of CenterHead).

    Returns:
        ``logits`` (B, R, K), ``boxes`` (B, R, 10) codes of :func:`mono_distill.ops.encode_box_code` in metres (8
        entries without velocity), ``points`` (B, R, 2) centres x, y, ``scores`` (0 where not valid) and ``labels``
        (B, R) of the peak's own class, best first, ``cells`` (B, R) flat indices ``y * W + x`` of the peaks, and
        ``valid`` (B, R) bool.

    Raises:
        ConfigError: A map is missing.
        ShapeError: The maps of a task differ in size from those of another.

    Example:
        >>> maps = {name: torch.zeros(1, n, 4, 4) for name, n in dict(reg=2, height=1, dim=3, rot=2, vel=2).items()}
        >>> heat = torch.full((1, 1, 4, 4), -9.0)
        >>> heat[0, 0, 1, 2] = 2.0
        >>> found = center_predictions([dict(maps, heatmap=heat)], x_range=(-4, 4), y_range=(0, 4), topk=3)
        >>> found['points'][0, 0], found['valid']
        (tensor([0., 1.]), tensor([[ True, False, False]]))
    """
    tasks = head_tasks(heads)
    (first,) = require_tensors(tasks[0], {'heatmap': (None,) * 4}, owner=f'{_NAME}: task 0')
    batch, _, height, width = first.shape
    with_velocity = 'vel' in tasks[0]
    heatmaps, codes = [], []
    for index, task in enumerate(tasks):
        maps = {**_MAPS, 'vel': 2} if with_velocity else _MAPS
        shapes: dict[str, tuple[int | None, ...]] = {'heatmap': (batch, None, height, width)}
        shapes.update({name: (batch, channels, height, width) for name, channels in maps.items()})
        heatmap, *regressed = require_tensors(task, shapes, owner=f'{_NAME}: task {index}')
        heatmaps.append(heatmap)
        codes += regressed
    logits = as_float32(torch.cat(heatmaps, dim=1))
    scores, labels, cells = _peaks(logits, topk)
    task_of = _task_index(labels, [value.shape[1] for value in heatmaps])
    raw = _read_codes(torch.cat(codes, dim=1), cells, task_of, len(tasks))
    x = x_range[0] + (cells % width + raw[..., 0]) * ((x_range[1] - x_range[0]) / width)
    y = y_range[0] + (cells // width + raw[..., 1]) * ((y_range[1] - y_range[0]) / height)
    points = torch.stack([x, y], dim=-1)
    valid = scores >= score_thr
    return dict(
        logits=_read(logits, cells),
        boxes=_box_code(points, raw, log_sizes),
        points=points,
        scores=torch.where(valid, scores, 0.0),
        labels=labels,
        cells=cells,
        valid=valid,
    )


def _peaks(logits: Tensor, topk: int) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities, classes and cells (B, R) of the highest local maxima of (B, K, H, W)."""
    probability = logits.sigmoid()
    peak = F.max_pool2d(probability, 3, stride=1, padding=1) == probability
    best, index = torch.where(peak, probability, 0.0).flatten(1).topk(min(topk, probability[0].numel()), dim=1)
    cells = logits.shape[2] * logits.shape[3]
    return best, index // cells, index % cells


def _read(maps: Tensor, cells: Tensor) -> Tensor:
    """Read (B, C, H, W) at flat positions (B, R) as (B, R, C)."""
    places = cells.unsqueeze(1).expand(-1, maps.shape[1], -1)
    return maps.flatten(2).gather(2, places).transpose(1, 2)


def _task_index(labels: Tensor, num_classes: Sequence[int]) -> Tensor:
    """Index of the task of each class."""
    if len(num_classes) == 1:
        return torch.zeros_like(labels)
    steps = torch.arange(sum(num_classes), device=labels.device)
    begins = torch.stack([steps[begin] for begin in accumulate(num_classes[:-1])])
    return (labels.unsqueeze(-1) >= begins).sum(-1)


def _read_codes(maps: Tensor, cells: Tensor, task_of: Tensor, tasks: int) -> Tensor:
    """Read the codes (B, R, D) of the cells' own tasks from those of all tasks (B, T * D, H, W)."""
    entries, area = maps.shape[1] // tasks, maps.shape[2] * maps.shape[3]
    channel = task_of.unsqueeze(1) * entries + torch.arange(entries, device=maps.device).unsqueeze(1)
    return (
        as_float32(maps.flatten(1).gather(1, (channel * area + cells.unsqueeze(1)).flatten(1)))
        .view(channel.shape)
        .transpose(1, 2)
    )


def _box_code(points: Tensor, raw: Tensor, log_sizes: bool) -> Tensor:
    """Code (B, R, 10) of what is regressed: reg, height, dim, rot, vel."""
    sizes = raw[..., 3:6] if log_sizes else raw[..., 3:6].clamp(min=1e-5).log()
    # The head's sine and cosine need not have length 1; those of a box do.
    turn = F.normalize(raw[..., 6:8], dim=-1)
    return torch.cat([points, sizes[..., :2], raw[..., 2:3], sizes[..., 2:], turn, raw[..., 8:]], dim=-1)


@MODELS.register_module()
class CenterPredictions(nn.Module):
    """Module form of :func:`center_predictions`, for the ``targets`` of a distiller.

    Args:
        x_range: x of the edges of the teacher's map, in metres.
        y_range: The same for the rows.
        topk: Slots.
        score_thr: Peaks of a lower probability do not count.
        log_sizes: Whether ``dim`` holds logarithms.

    Raises:
        ConfigError: A range is empty, ``topk`` is not positive or ``score_thr`` is no probability.
    """

    def __init__(
        self, x_range: Range, y_range: Range, *, topk: int = 300, score_thr: float = 0.05, log_sizes: bool = True
    ) -> None:
        super().__init__()
        check_range(x_range, 'CenterPredictions: x_range')
        check_range(y_range, 'CenterPredictions: y_range')
        if topk < 1 or not 0 <= score_thr < 1:
            raise ConfigError(
                f'CenterPredictions: topk must be positive and score_thr a probability, got {topk} and {score_thr}.'
            )
        # Configs hold lists.
        self.x_range, self.y_range = (x_range[0], x_range[1]), (y_range[0], y_range[1])
        self.topk, self.score_thr, self.log_sizes = topk, score_thr, log_sizes

    def forward(self, heads: Sequence[Any] | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See :func:`center_predictions`."""
        return center_predictions(
            heads,
            x_range=self.x_range,
            y_range=self.y_range,
            topk=self.topk,
            score_thr=self.score_thr,
            log_sizes=self.log_sizes,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'x_range={self.x_range}, y_range={self.y_range}, topk={self.topk}, score_thr={self.score_thr}, '
            f'log_sizes={self.log_sizes}'
        )

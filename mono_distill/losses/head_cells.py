"""The maps of all tasks of two CenterHeads, read at cells and compared in a few calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32
from mono_distill.losses.quality_response import BOX_ENTRIES, bernoulli_terms, softmax_terms


@dataclass(frozen=True)
class TaskAtCells:
    """A task of two heads and the cells that count.

    Attributes:
        student: Maps ``(B, ., H, W)``: the heatmap's logits, then those of the code, 8 channels or 10 with velocity.
        teacher: The same; receives no gradient.
        quality: ``(B, P)``, 0 in slots without a cell.
        cells: ``(B, P)`` flat indices ``y * W + x``.
    """

    student: Sequence[Tensor]
    teacher: Sequence[Tensor]
    quality: Tensor
    cells: Tensor

    @property
    def layout(self) -> tuple[int, ...]:
        """What tasks must have in common to be compared together: the grid and the maps."""
        return (*self.student[0].shape[2:], len(self.student))

    @property
    def classes(self) -> int:
        """Channels of the heatmap."""
        return self.student[0].shape[1]


def tasks_distance(
    tasks: Sequence[TaskAtCells], class_divergence: str, velocity_weight: float
) -> tuple[Tensor, Tensor]:
    """Sum over tasks and cells of quality times distance, see :func:`mono_distill.losses.quality_response_loss`.

    The maps of all tasks become one, so that a head of six tasks costs no more calls than one of a single task: on a
    GPU the many small ones take longer than what they compute.

    Args:
        tasks: All of one layout.
        class_divergence: ``'bernoulli'`` or ``'softmax'``.
        velocity_weight: Weight of the entries of the code after the eighth.

    Returns:
        The sum, a 0-dim tensor, and the quality ``(B, T, P)`` of all tasks, filled up with zeros.
    """
    slots = max(task.cells.shape[1] for task in tasks)
    classes = [task.classes for task in tasks]
    code = sum(part.shape[1] for part in tasks[0].student[1:])
    places = _places(tasks, slots, classes, code)
    ours, theirs = (_read(maps, places) for maps in ([t.student for t in tasks], [t.teacher for t in tasks]))
    theirs = theirs.detach()
    quality = torch.stack([_filled(task.quality, slots) for task in tasks], 1).detach().to(ours.dtype)
    with full_precision(ours):
        weights = _weights(quality, classes, code, velocity_weight)
        # Cells of quality 0 may hold anything. A quality that is NaN is not 0 and shows.
        kept = weights != 0
        ours, theirs = (torch.where(kept, side, 0.0) for side in (ours, theirs.to(ours.dtype)))
        parts = [side.split([sum(classes), code * len(tasks)], 1) for side in (ours, theirs, weights)]
        (logits, codes), (target_logits, target_codes), (class_weights, code_weights) = parts
        if class_divergence == 'bernoulli':
            terms = bernoulli_terms(logits, target_logits)
        else:
            pairs = zip(logits.split(classes, 1), target_logits.split(classes, 1), strict=True)
            terms = torch.cat([softmax_terms(s, t, dim=1) for s, t in pairs], 1)
        return (class_weights * terms).sum() + (code_weights * (codes - target_codes).abs()).sum(), quality


def _places(tasks: Sequence[TaskAtCells], slots: int, classes: Sequence[int], code: int) -> Tensor:
    """Cell of each channel, ``(B, channels, P)``: those of the heatmaps, then those of the codes, task after task."""
    first = tasks[0].cells
    if all(task.cells is first for task in tasks):
        return first.unsqueeze(1).expand(-1, sum(classes) + code * len(tasks), -1)
    cells = [_filled(task.cells, slots).unsqueeze(1) for task in tasks]
    heat = [x.expand(-1, n, -1) for x, n in zip(cells, classes, strict=True)]
    return torch.cat([*heat, *(x.expand(-1, code, -1) for x in cells)], 1)


def _read(maps: Sequence[Sequence[Tensor]], places: Tensor) -> Tensor:
    """Channels ``(B, channels, P)`` of the heatmaps, then of the codes, task after task."""
    parts = [*(task[0] for task in maps), *(x for task in maps for x in task[1:])]
    if _is_gathered_at_once(places.device):
        return as_float32(torch.cat(parts, 1).flatten(2).gather(2, places))
    each = places.split([part.shape[1] for part in parts], 1)
    return as_float32(torch.cat([part.flatten(2).gather(2, x) for part, x in zip(parts, each, strict=True)], 1))


def _is_gathered_at_once(device: torch.device) -> bool:
    """Whether copying all maps into one takes less time than reading them one by one; both give the same."""
    return device.type != 'cpu'


def _weights(quality: Tensor, classes: Sequence[int], code: int, velocity_weight: float) -> Tensor:
    """Weight of every channel that was read, from the quality ``(B, T, P)``."""
    whole, scaled = (x.unsqueeze(2).unbind(1) for x in (quality, velocity_weight * quality))
    weights = [x.expand(-1, n, -1) for x, n in zip(whole, classes, strict=True)]
    for box, velocity in zip(whole, scaled, strict=True):
        weights += [box.expand(-1, BOX_ENTRIES, -1), velocity.expand(-1, code - BOX_ENTRIES, -1)]
    return torch.cat(weights, 1)


def _filled(values: Tensor, slots: int) -> Tensor:
    """Fill ``(B, P)`` up with zeros."""
    return values if values.shape[1] == slots else F.pad(values, (0, slots - values.shape[1]))

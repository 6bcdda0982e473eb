"""Imitation of a teacher's detections between two CenterHeads (STXD's term RD for heads with dense maps)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mono_distill.losses.head_cells import TaskAtCells, tasks_distance
from mono_distill.losses.quality_response import (
    ClassDivergence,
    Normalizer,
    Predictions,
    QualityResponseLoss,
    check_response_options,
    response_divisor,
)
from mono_distill.losses.tensor_dict import head_tasks, require_tensors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError

Tasks = Predictions | Sequence[Predictions]

# Regression maps of a task and their channels; together they are the code of a cell.
_MAPS = {'reg': 2, 'height': 1, 'dim': 3, 'rot': 2, 'vel': 2}


def center_response_loss(
    student: Tasks,
    teacher: Tasks,
    quality: Tensor | Sequence[Tensor],
    cells: Tensor | Sequence[Tensor],
    *,
    class_divergence: ClassDivergence = 'bernoulli',
    velocity_weight: float = 0.2,
    normalizer: Normalizer = 'quality',
) -> Tensor:
    """:func:`mono_distill.losses.quality_response_loss` between two CenterHeads, read at the same cells of both.

    The paper's students are DETR-type; this is the same loss for heads with dense maps, in which the cell is the match:
    no assignment is solved. The code of a cell is ``reg``, ``height``, ``dim`` (logarithms), ``rot`` (sine, cosine) and
    ``vel`` if there is one. Both heads need the same grid and the same tasks.

    Args:
        student: Maps of a task: ``heatmap`` ``(B, C, H, W)`` logits, ``reg`` (2 channels), ``height`` (1), ``dim`` (3),
            ``rot`` (2), ``vel`` (2, may be missing). Several tasks: a sequence of such; each may be in a list of its
            own, as mmdet3d's CenterHead returns it. mmdet3d's loss turns ``heatmap`` into probabilities in place: read
            it before.
        teacher: The same; receives no gradient.
        quality: ``(B, P)`` quality of what the teacher sees in each cell, 0 in slots without one; a sequence for
            several tasks.
        cells: ``(B, P)`` flat indices ``y * W + x`` of the teacher's peaks or of annotated objects; likewise.
        class_divergence: See :func:`mono_distill.losses.quality_response_loss`.
        velocity_weight: See :func:`mono_distill.losses.quality_response_loss`.
        normalizer: See :func:`mono_distill.losses.quality_response_loss`; sums run over all tasks.

    Returns:
        0-dim tensor; 0 without cells.

    Raises:
        ConfigError: A map is missing or an option is unknown.
        ShapeError: The shapes do not fit.

    Example:
        >>> channels = dict(heatmap=1, reg=2, height=1, dim=3, rot=2, vel=2)
        >>> teacher = {name: torch.zeros(1, c, 4, 4) for name, c in channels.items()}
        >>> student = {**teacher, 'height': torch.full((1, 1, 4, 4), 3.0)}
        >>> center_response_loss(student, teacher, torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[5, 9, 0]]))
        tensor(3.)
    """
    check_response_options(class_divergence, normalizer)
    tasks = [head_tasks(x) for x in (student, teacher, quality, cells)]
    if len({len(entries) for entries in tasks}) != 1:
        names = ('student', 'teacher', 'quality', 'cells')
        counts = ', '.join(f'{name} {len(entries)}' for name, entries in zip(names, tasks, strict=True))
        raise ShapeError(f'center_response_loss: the numbers of tasks differ: {counts}.')
    groups: dict[tuple[int, ...], list[TaskAtCells]] = {}
    for index, task in enumerate(zip(*tasks, strict=True)):
        read = _checked_task(*task, owner=f'center_response_loss: task {index}')
        groups.setdefault(read.layout, []).append(read)
    totals, qualities = [], []
    # The tasks of a CenterHead have the same grid and the same maps: one group.
    for group in groups.values():
        total, weights = tasks_distance(group, class_divergence, velocity_weight)
        totals.append(total)
        qualities.append(weights)
    return torch.stack(totals).sum() / response_divisor(qualities, normalizer)


def _checked_task(
    student: Predictions, teacher: Predictions, quality: Tensor, cells: Tensor, *, owner: str
) -> TaskAtCells:
    """Check the maps of a task and bring them into their order."""
    (heatmap,) = require_tensors(student, {'heatmap': (None, None, None, None)}, owner=f'{owner}: student')
    batch, _, height, width = heatmap.shape
    if cells.dim() != 2 or cells.shape[0] != batch or quality.shape != cells.shape:
        raise ShapeError(
            f'{owner}: quality has shape {tuple(quality.shape)} and cells {tuple(cells.shape)}, expected the same, '
            f'({batch}, *).'
        )
    names = [name for name in _MAPS if name != 'vel' or name in student]
    shapes: dict[str, tuple[int | None, ...]] = {'heatmap': tuple(heatmap.shape)}
    shapes.update({name: (batch, _MAPS[name], height, width) for name in names})
    ours = require_tensors(student, shapes, owner=f'{owner}: student')
    theirs = require_tensors(teacher, shapes, owner=f'{owner}: teacher')
    return TaskAtCells(ours, theirs, quality, cells)


@MODELS.register_module()
class CenterResponseLoss(QualityResponseLoss):
    """Module form of :func:`center_response_loss`.

    Args:
        class_divergence: ``'bernoulli'`` or ``'softmax'``.
        velocity_weight: Weight of the velocity's entries.
        normalizer: ``'quality'``, ``'pairs'`` or ``'none'`` (as printed).
    """

    # For DistillGraph: only what is read at the cells is brought to single precision.
    takes_half_precision = True

    def forward(  # type: ignore[override]
        self,
        student: Tasks,
        teacher: Tasks,
        quality: Tensor | Sequence[Tensor],
        cells: Tensor | Sequence[Tensor],
    ) -> Tensor:
        """See :func:`center_response_loss`."""
        return center_response_loss(
            student,
            teacher,
            quality,
            cells,
            class_divergence=self.class_divergence,
            velocity_weight=self.velocity_weight,
            normalizer=self.normalizer,
        )

"""Imitation of a teacher's detections between two CenterHeads, at the cells of the detections (STXD, term RD)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import torch
from torch import Tensor

from mono_distill.losses.center_response import Tasks, center_response_loss
from mono_distill.losses.quality_response import ClassDivergence, Normalizer, QualityResponseLoss
from mono_distill.losses.tensor_dict import head_tasks, require_tensors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


def center_detection_loss(
    student: Tasks,
    teacher: Tasks,
    detections: Mapping[str, Tensor],
    quality: Tensor,
    *,
    class_divergence: ClassDivergence = 'bernoulli',
    velocity_weight: float = 0.2,
    normalizer: Normalizer = 'quality',
) -> Tensor:
    """:func:`mono_distill.losses.center_response_loss` at the peaks of the teacher's heatmaps.

    A detection counts for the task of its class, at its cell; both heads need the same grid and the same tasks.

    Args:
        student: See :func:`mono_distill.losses.center_response_loss`.
        teacher: The same; receives no gradient.
        detections: ``cells`` ``(B, R)`` and ``labels`` ``(B, R)`` counted through the tasks, of
            :func:`mono_distill.targets.center_predictions`.
        quality: ``(B, R)`` of :func:`mono_distill.targets.matched_quality`, 0 for slots without a detection.
        class_divergence: See :func:`mono_distill.losses.quality_response_loss`.
        velocity_weight: See :func:`mono_distill.losses.quality_response_loss`.
        normalizer: See :func:`mono_distill.losses.quality_response_loss`; sums run over all tasks.

    Returns:
        0-dim tensor; 0 without detections.

    Raises:
        ConfigError: A tensor is missing or an option is unknown.
        ShapeError: The shapes do not fit.

    Example:
        >>> channels = dict(heatmap=1, reg=2, height=1, dim=3, rot=2, vel=2)
        >>> teacher = {name: torch.zeros(1, c, 4, 4) for name, c in channels.items()}
        >>> student = {**teacher, 'height': torch.full((1, 1, 4, 4), 3.0)}
        >>> detections = dict(cells=torch.tensor([[5, 9]]), labels=torch.tensor([[0, 1]]))
        >>> center_detection_loss([teacher, student], [teacher, teacher], detections, torch.tensor([[1.0, 1.0]]))
        tensor(1.5000)
    """
    tasks = head_tasks(teacher)
    owner = 'center_detection_loss: detections'
    if quality.dim() != 2:
        raise ShapeError(f'center_detection_loss: quality has shape {tuple(quality.shape)}, expected (B, R).')
    shape = (quality.shape[0], quality.shape[1])
    cells, labels = require_tensors(detections, {'cells': shape, 'labels': shape}, owner=owner)
    counts = [
        require_tensors(
            task, {'heatmap': (None, None, None, None)}, owner=f'center_detection_loss: teacher, task {index}'
        )[0].shape[1]
        for index, task in enumerate(tasks)
    ]
    # First class of every task, and the end of the last.
    steps = torch.arange(sum(counts) + 1, device=labels.device)
    borders = torch.stack([steps[border] for border in accumulate(counts, initial=0)]).unsqueeze(1)
    from_border = labels.unsqueeze(1) >= borders
    qualities = torch.where(from_border[:, :-1] & ~from_border[:, 1:], quality.unsqueeze(1), 0.0).unbind(1)
    return center_response_loss(
        student,
        teacher,
        qualities,
        [cells] * len(tasks),
        class_divergence=class_divergence,
        velocity_weight=velocity_weight,
        normalizer=normalizer,
    )


@MODELS.register_module()
class CenterDetectionLoss(QualityResponseLoss):
    """Module form of :func:`center_detection_loss`.

    Args:
        class_divergence: ``'bernoulli'`` or ``'softmax'``.
        velocity_weight: Weight of the velocity's entries.
        normalizer: ``'quality'``, ``'pairs'`` or ``'none'`` (as printed).
    """

    # For DistillGraph: only what is read at the cells is brought to single precision.
    takes_half_precision = True

    def forward(  # type: ignore[override]
        self, student: Tasks, teacher: Tasks, detections: Mapping[str, Tensor], quality: Tensor
    ) -> Tensor:
        """See :func:`center_detection_loss`."""
        return center_detection_loss(
            student,
            teacher,
            detections,
            quality,
            class_divergence=self.class_divergence,
            velocity_weight=self.velocity_weight,
            normalizer=self.normalizer,
        )

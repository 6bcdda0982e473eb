"""Imitation of a teacher's detections by the queries of all decoder layers (STXD's term RD for its own students)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mono_distill.losses.quality_response import (
    ClassDivergence,
    Normalizer,
    Predictions,
    QualityResponseLoss,
    quality_response_loss,
)
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


def query_response_loss(
    student: Sequence[Predictions],
    teacher: Predictions,
    quality: Tensor,
    pairs: Sequence[Mapping[str, Tensor]],
    *,
    class_divergence: ClassDivergence = 'bernoulli',
    velocity_weight: float = 0.2,
    normalizer: Normalizer = 'quality',
) -> Tensor:
    r""":func:`mono_distill.losses.quality_response_loss`, summed over the decoder layers of a student.

    .. math:: L = \sum_l \frac{1}{\max(1, \sum_j q_{\pi_l(j)})} \sum_j q_{\pi_l(j)} \left(
        \|b_{\pi_l(j)} - \tilde b_j^{(l)}\|_1 + D_{KL}(c_{\pi_l(j)} \,\|\, \tilde c_j^{(l)})\right)

    Each layer l has its own pairs :math:`\pi_l`, as it has in the detection loss. The paper does not say which layers
    learn (BEVDistill, from which its students come, teaches all six).

    Args:
        student: Per layer ``logits`` ``(B, Q, C)`` and ``boxes`` ``(B, Q, D)`` codes.
        teacher: ``logits`` ``(B, R, C)`` and ``boxes`` ``(B, R, D)``; receives no gradient.
        quality: ``(B, R)``.
        pairs: Per layer ``student``, ``teacher`` and ``valid`` ``(B, P)``, see
            :func:`mono_distill.targets.query_pairs`.
        class_divergence: See :func:`mono_distill.losses.quality_response_loss`.
        velocity_weight: See :func:`mono_distill.losses.quality_response_loss`.
        normalizer: See :func:`mono_distill.losses.quality_response_loss`; per layer.

    Returns:
        0-dim tensor; 0 without pairs.

    Raises:
        ConfigError: A tensor is missing or an option is unknown.
        ShapeError: The shapes do not fit, or there are not as many pairings as layers.

    Example:
        >>> teacher = dict(logits=torch.zeros(1, 1, 1), boxes=torch.zeros(1, 1, 10))
        >>> layers = [dict(teacher, boxes=torch.full((1, 1, 10), error)) for error in (0.5, 0.25)]
        >>> pair = dict(student=torch.tensor([[0]]), teacher=torch.tensor([[0]]), valid=torch.tensor([[True]]))
        >>> query_response_loss(layers, teacher, torch.tensor([[1.0]]), [pair, pair])  # (0.5 + 0.25) * 8.4
        tensor(6.3000)
    """
    if len(student) != len(pairs) or not student:
        raise ShapeError(
            f'query_response_loss: the student gives {len(student)} decoder layers and there are {len(pairs)} '
            'pairings; expected one for each layer, and at least one.'
        )
    terms = [
        quality_response_loss(
            layer,
            teacher,
            quality,
            matched,
            class_divergence=class_divergence,
            velocity_weight=velocity_weight,
            normalizer=normalizer,
        )
        for layer, matched in zip(student, pairs, strict=True)
    ]
    return torch.stack(terms).sum()


@MODELS.register_module()
class QueryResponseLoss(QualityResponseLoss):
    """Module form of :func:`query_response_loss`.

    Args:
        class_divergence: ``'bernoulli'`` or ``'softmax'``.
        velocity_weight: Weight of the velocity's entries.
        normalizer: ``'quality'``, ``'pairs'`` or ``'none'`` (as printed).
    """

    def forward(  # type: ignore[override]
        self,
        student: Sequence[Predictions],
        teacher: Predictions,
        quality: Tensor,
        pairs: Sequence[Mapping[str, Tensor]],
    ) -> Tensor:
        """See :func:`query_response_loss`."""
        return query_response_loss(
            student,
            teacher,
            quality,
            pairs,
            class_divergence=self.class_divergence,
            velocity_weight=self.velocity_weight,
            normalizer=self.normalizer,
        )

"""Pairs of a student's queries and a teacher's detections in every decoder layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mono_distill.ops.prediction_matching import hungarian_matching, prediction_cost
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

Predictions = Mapping[str, Tensor]


@torch.no_grad()
def query_pairs(
    student: Sequence[Predictions],
    teacher: Predictions,
    quality: Tensor,
    *,
    class_weight: float = 1.0,
    box_weight: float = 0.25,
) -> list[dict[str, Tensor]]:
    """Match each layer's queries with the detections one to one (the matching of STXD's response term).

    The cost is that of BEVDistill's assigner, see :func:`mono_distill.ops.prediction_cost`; STXD does not print its
    own. Detections of quality 0 teach nothing and are not matched. The host waits for the device once for all layers.

    Args:
        student: Per decoder layer ``logits`` (B, Q, K) and ``boxes`` (B, Q, D) codes in metres.
        teacher: ``logits`` (B, R, K) and ``boxes`` (B, R, D).
        quality: (B, R).
        class_weight: Weight of the cross-entropy of the classes.
        box_weight: Weight of the L1 distance of the codes.

    Returns:
        Per layer what :func:`mono_distill.ops.hungarian_matching` returns, (B, P).

    Raises:
        ConfigError: There is no layer, or a tensor is missing.
        ShapeError: The shapes do not fit.
    """
    if not student:
        raise ConfigError('query_pairs: the student gives no decoder layer; tap its list of queries.')
    missing = {name for name in ('logits', 'boxes') for layer in student if name not in layer}
    if missing:
        raise ConfigError(f'query_pairs: a layer of the student lacks {", ".join(sorted(missing))}.')
    stacked = {name: torch.stack([layer[name].detach() for layer in student]) for name in ('logits', 'boxes')}
    cost = prediction_cost(stacked, teacher, class_weight=class_weight, box_weight=box_weight)
    pairs = hungarian_matching(cost, teacher_valid=quality > 0)
    return [{name: value[layer] for name, value in pairs.items()} for layer in range(len(student))]


@MODELS.register_module()
class QueryPairs(nn.Module):
    """Module form of :func:`query_pairs`, for the ``targets`` of a distiller.

    Args:
        class_weight: Weight of the cross-entropy of the classes.
        box_weight: Weight of the L1 distance of the codes.

    Raises:
        ConfigError: A weight is negative.
    """

    def __init__(self, class_weight: float = 1.0, *, box_weight: float = 0.25) -> None:
        super().__init__()
        if min(class_weight, box_weight) < 0:
            raise ConfigError(f'QueryPairs: weights must not be negative, got {class_weight} and {box_weight}.')
        self.class_weight, self.box_weight = class_weight, box_weight

    def forward(self, student: Sequence[Predictions], teacher: Predictions, quality: Tensor) -> list[dict[str, Tensor]]:
        """See :func:`query_pairs`."""
        return query_pairs(student, teacher, quality, class_weight=self.class_weight, box_weight=self.box_weight)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'class_weight={self.class_weight}, box_weight={self.box_weight}'

"""Imitation of a teacher's predictions, weighted by their scores (BEVDistill, ICLR 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32, global_avg_factors, masked_mean, require_shape
from mono_distill.losses.padded_pairs import paired_slots
from mono_distill.losses.quality_response import bernoulli_divergence
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

Tensors = Mapping[str, Tensor]
_LOSS = 'scored_response_loss'


def scored_response_loss(
    student: Tensors,
    teacher: Tensors,
    valid: Tensor | None = None,
    *,
    class_weight: float = 1.0,
    box_weight: float = 0.25,
    code_weights: Sequence[float] | None = None,
    squared_score: bool = False,
) -> Tensor:
    r"""Distance of matched predictions, in which those the teacher is sure of count more.

    With :math:`q_m` the score of the teacher's m-th prediction,

    .. math:: L = \frac{1}{\sum_m q_m} \sum_m \Big( w_{cls}\, q_m \sum_k
        D_{KL}(p^T_{mk} \,\|\, p^S_{mk}) + w_{box}\, q_m \sum_d w_d |b^T_{md} - b^S_{md}| \Big)

    where p are the sigmoids of the class logits (each class a yes or no; the divergence is the binary cross entropy
    with the teacher's probabilities as soft labels minus their entropy, which has the same gradient) and b the box
    codes. The divisor is at least 1 and, under distributed training, the mean over the processes.

    The predictions come matched: slot m of both sides speaks of the same object. Officially the teacher's 50 queries
    of the highest score are assigned to the student's queries, for every decoder layer, by the cost
    1.0 binary cross entropy + 0.25 L1 of the first 8 codes (``distill_hungarian_assigner_3d.py`` lines 106-132).

    Released training and paper differ. The paper weights both terms by a quality that also knows how well the
    teacher's box is placed; give it as ``teacher['scores']``. The released one
    (``bevformer_distill_head.py`` lines 652-717) has the score twice in the numerator, so a box weighs :math:`q_m^2`
    (``squared_score=True``), and its configs switch the classes off (``class_weight=0``).

    Args:
        student: ``logits (B, M, K)`` and ``boxes (B, M, D)``.
        teacher: The same, receives no gradient; optionally ``scores (B, M)``, by default the largest sigmoid of the
            logits.
        valid: ``(B, M)`` bool, the slots that hold a matched pair; ``None`` for all. The others may hold anything.
        class_weight: Weight of the divergence of the classes.
        box_weight: Weight of the distance of the boxes.
        code_weights: The :math:`w_d`; all 1 by default. Officially 1, and 0.2 for the two velocities.
        squared_score: Whether boxes are weighted by the squared score, as released.

    Returns:
        0-dim tensor; 0 without predictions.

    Raises:
        ConfigError: A prediction is missing or a weight is negative.
        ShapeError: The shapes, or the number of ``code_weights``, do not fit.

    Example:
        >>> zeros = dict(logits=torch.zeros(1, 1, 3), boxes=torch.zeros(1, 1, 2))
        >>> sure = dict(logits=torch.zeros(1, 1, 3), boxes=torch.ones(1, 1, 2), scores=torch.ones(1, 1))
        >>> scored_response_loss(zeros, sure)
        tensor(0.5000)
    """
    _check_weights(class_weight, box_weight, code_weights)
    logits, boxes, scores, valid = _paired_predictions(student, teacher, valid)
    with full_precision(scores):
        if code_weights is not None and len(code_weights) != boxes[0].shape[2]:
            raise ShapeError(
                f'{_LOSS}: {len(code_weights)} code_weights for boxes of {boxes[0].shape[2]} codes; give one per code.'
            )
        total = global_avg_factors(scores.sum()).to(scores.dtype)
        divergence = bernoulli_divergence(*logits) * scores
        distance = (boxes[0] - boxes[1]).abs()
        if code_weights is not None:
            # Code by code: a tensor of the weights would be copied from the host in every step.
            distance = torch.stack([w * d for w, d in zip(code_weights, distance.unbind(2), strict=True)], 2)
        distance = distance.sum(2) * (scores.square() if squared_score else scores)
        return masked_mean(class_weight * divergence + box_weight * distance, valid, total)


def _paired_predictions(
    student: Tensors, teacher: Tensors, valid: Tensor | None
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor, Tensor]:
    """Logits and boxes as (student, teacher), the teacher's scores and the valid slots, in full precision."""
    (first,) = require_tensors(student, {'logits': (None,) * 3}, owner=f'{_LOSS}: student')
    shapes = dict.fromkeys(('logits', 'boxes'), (first.shape[0], first.shape[1], None))
    ours = require_tensors(student, shapes, owner=f'{_LOSS}: student')
    theirs = require_tensors(teacher, shapes, owner=f'{_LOSS}: teacher')
    *logits, valid = paired_slots(ours[0], theirs[0], valid, axes='B, M, K', loss=f'{_LOSS}: logits')
    *boxes, _ = paired_slots(ours[1], theirs[1], valid, axes='B, M, D', loss=f'{_LOSS}: boxes')
    if 'scores' in teacher:
        scores = as_float32(teacher['scores'].detach())
        require_shape(scores, tuple(valid.shape), loss=f'{_LOSS}: teacher', name='scores')
    else:
        scores = logits[1].sigmoid().amax(2)
    scores = torch.where(valid, scores, 0.0)
    return (logits[0], logits[1]), (boxes[0], boxes[1]), scores, valid


def _check_weights(class_weight: float, box_weight: float, code_weights: Sequence[float] | None) -> None:
    weights = (class_weight, box_weight, *(() if code_weights is None else code_weights))
    # Written so that NaN fails too.
    if not all(weight >= 0 for weight in weights):
        raise ConfigError(
            f'{_LOSS}: weights must not be negative, got class_weight={class_weight}, box_weight={box_weight}, '
            f'code_weights={code_weights}.'
        )


@MODELS.register_module()
class ScoredResponseLoss(nn.Module):
    """Module form of :func:`scored_response_loss`.

    Args:
        class_weight: Weight of the divergence of the classes; 0 as released.
        box_weight: Weight of the distance of the boxes.
        code_weights: Weight of each code of a box; all 1 by default.
        squared_score: Whether boxes are weighted by the squared score, as released.

    Raises:
        ConfigError: A weight is negative.
    """

    def __init__(
        self,
        class_weight: float = 1.0,
        box_weight: float = 0.25,
        *,
        code_weights: Sequence[float] | None = None,
        squared_score: bool = False,
    ) -> None:
        super().__init__()
        _check_weights(class_weight, box_weight, code_weights)
        self.class_weight = class_weight
        self.box_weight = box_weight
        self.code_weights = None if code_weights is None else tuple(code_weights)
        self.squared_score = squared_score

    def forward(self, student: Tensors, teacher: Tensors, valid: Tensor | None = None) -> Tensor:
        """See :func:`scored_response_loss`."""
        return scored_response_loss(
            student,
            teacher,
            valid,
            class_weight=self.class_weight,
            box_weight=self.box_weight,
            code_weights=self.code_weights,
            squared_score=self.squared_score,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'class_weight={self.class_weight}, box_weight={self.box_weight}, code_weights={self.code_weights}, '
            f'squared_score={self.squared_score}'
        )

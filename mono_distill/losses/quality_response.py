"""Imitation of a teacher's detections, each as far as it is good (the term RD of STXD, NeurIPS 2023).

No code was released. The formula is that of the authors' talk (slide 8). Which divergence of classes, which box code
and which matching are not printed there; the defaults here are those of the paper's students, whose heads have sigmoid
classes and DETR3D's box code. Quality is measured by :mod:`mono_distill.ops.prediction_quality`, pairs are made by
:mod:`mono_distill.ops.prediction_matching`. For heads with dense maps see :mod:`mono_distill.losses.center_response`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32, global_avg_factors
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

ClassDivergence = Literal['bernoulli', 'softmax']
Normalizer = Literal['quality', 'pairs', 'none']
Predictions = Mapping[str, Tensor]

# Entries of a code before the velocity.
BOX_ENTRIES = 8


def quality_response_loss(
    student: Predictions,
    teacher: Predictions,
    quality: Tensor,
    pairs: Mapping[str, Tensor] | None = None,
    *,
    class_divergence: ClassDivergence = 'bernoulli',
    velocity_weight: float = 0.2,
    normalizer: Normalizer = 'quality',
) -> Tensor:
    r"""Distance of student predictions from the teacher predictions they are paired with, weighted by quality.

    .. math:: L = \frac{1}{\max(1, \sum_j q_{\pi(j)})} \sum_j q_{\pi(j)} \left(\|b_{\pi(j)} - \tilde b_j\|_1
        + D_{KL}(c_{\pi(j)} \,\|\, \tilde c_j)\right)

    with :math:`\tilde b, \tilde c` the student's box code and classes and :math:`b, c` the teacher's. The quality
    weighs each pair; a teacher prediction of quality 0 teaches nothing. The velocity's part of the L1 distance is
    weighed by ``velocity_weight``. The paper prints the plain sum (``normalizer='none', velocity_weight=1.0``), which
    grows with the number of objects. For a decoder of several layers, sum over layers, each with its own pairs.

    Args:
        student: ``logits`` ``(B, Q, C)`` and ``boxes`` ``(B, Q, D)``: box codes of 8 entries, or 10 with velocity, see
            :func:`mono_distill.ops.encode_box_code`.
        teacher: ``logits`` ``(B, R, C)`` and ``boxes`` ``(B, R, D)``; receives no gradient.
        quality: ``(B, R)`` :func:`mono_distill.ops.prediction_quality` of the teacher's predictions, not negative.
        pairs: ``student`` and ``teacher`` ``(B, P)`` indices and ``valid`` ``(B, P)`` bool, as
            :func:`mono_distill.ops.hungarian_matching` gives; ``None``: the j-th of the one and of the other.
        class_divergence: ``'bernoulli'``: sum over classes of the divergence of their probabilities (sigmoid heads).
            ``'softmax'``: divergence of one distribution over classes.
        velocity_weight: Weight of the entries of the code after the eighth; 0.2 in DETR3D and BEVFormer, 1 in UVTR-C.
        normalizer: ``'quality'``: divide by the sum of q, ``'pairs'``: by the number of pairs with a quality, both of
            all processes; ``'none'``: by nothing, as printed.

    Returns:
        0-dim tensor; 0 without pairs.

    Raises:
        ConfigError: A tensor is missing or an option is unknown.
        ShapeError: The shapes do not fit.

    Example:
        >>> teacher = dict(logits=torch.tensor([[[0.8]]]).logit(), boxes=torch.zeros(1, 1, 10))
        >>> student = dict(logits=torch.zeros(1, 1, 1), boxes=torch.full((1, 1, 10), 0.1))
        >>> loss = quality_response_loss(student, teacher, torch.tensor([[0.4]]), normalizer='none')
        >>> round(loss.item(), 5)  # 0.4 * (0.84 + 0.19274)
        0.4131
    """
    check_response_options(class_divergence, normalizer)
    ours, theirs = _read_queries(student, 'student'), _read_queries(teacher, 'teacher')
    batch, count = theirs[0].shape[:2]
    if tuple(quality.shape) != (batch, count):
        raise ShapeError(
            f'quality_response_loss: quality has shape {tuple(quality.shape)}, expected {(batch, count)}, an entry per '
            'teacher prediction.'
        )
    quality = quality.detach().to(ours[0].dtype)
    if pairs is not None:
        (first,) = require_tensors(pairs, {'student': (batch, None)}, owner='quality_response_loss: pairs')
        shapes = dict.fromkeys(('student', 'teacher', 'valid'), (batch, first.shape[1]))
        chosen, source, valid = require_tensors(pairs, shapes, owner='quality_response_loss: pairs')
        ours, theirs = [_pick(x, chosen) for x in ours], [_pick(x, source) for x in theirs]
        quality = torch.where(valid, quality.gather(1, source), 0.0)
    with full_precision(quality):
        total = weighted_distance(ours, theirs, quality, class_divergence, velocity_weight)
        return total / response_divisor([quality], normalizer)


def _read_queries(predictions: Predictions, side: str) -> list[Tensor]:
    """Check and return logits and code of a side in full precision, the teacher's detached."""
    owner = f'quality_response_loss: {side}'
    (logits,) = require_tensors(predictions, {'logits': (None, None, None)}, owner=owner)
    (code,) = require_tensors(predictions, {'boxes': (*logits.shape[:2], None)}, owner=owner)
    return [as_float32(x.detach() if side == 'teacher' else x) for x in (logits, code)]


def _pick(predictions: Tensor, indices: Tensor) -> Tensor:
    """Take ``(B, P)`` of the predictions ``(B, Q, D)``."""
    return predictions.gather(1, indices.unsqueeze(2).expand(-1, -1, predictions.shape[2]))


def weighted_distance(
    student: list[Tensor], teacher: list[Tensor], quality: Tensor, class_divergence: str, velocity_weight: float
) -> Tensor:
    """Sum over the pairs of quality times distance; logits and code are ``(B, P, .)``, the quality ``(B, P)``."""
    for ours, theirs, name in zip(student, teacher, ('logits', 'boxes'), strict=True):
        if ours.shape != theirs.shape:
            raise ShapeError(
                f'quality_response_loss: {name} of the student {tuple(ours.shape)} and of the teacher '
                f'{tuple(theirs.shape)} differ.'
            )
    # Pairs of quality 0 may hold anything. A quality that is NaN is not 0 and shows.
    kept = (quality != 0).unsqueeze(2)
    logits, code = (torch.where(kept, x, 0.0) for x in student)
    target_logits, target_code = (torch.where(kept, x.to(logits.dtype), 0.0) for x in teacher)
    error = (code - target_code).abs()
    boxes = error[..., :BOX_ENTRIES].sum(2) + velocity_weight * error[..., BOX_ENTRIES:].sum(2)
    divergence = bernoulli_divergence if class_divergence == 'bernoulli' else _softmax
    return (quality * (boxes + divergence(logits, target_logits))).sum()


def bernoulli_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Sum over classes ``(B, P, C)`` of the divergence of the teacher's from the student's yes-or-no, from logits."""
    return bernoulli_terms(student, teacher).sum(2)


def bernoulli_terms(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of the teacher's from the student's yes-or-no of each logit."""
    yes = F.logsigmoid(teacher) - F.logsigmoid(student)
    no = F.logsigmoid(-teacher) - F.logsigmoid(-student)
    return teacher.sigmoid() * yes + (-teacher).sigmoid() * no


def _softmax(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of the teacher's from the student's distribution over classes."""
    return softmax_terms(student, teacher, dim=2).sum(2)


def softmax_terms(student: Tensor, teacher: Tensor, *, dim: int) -> Tensor:
    """What each class adds to the divergence of the teacher's from the student's distribution over classes."""
    target = teacher.log_softmax(dim)
    return target.exp() * (target - student.log_softmax(dim))


def response_divisor(qualities: list[Tensor], normalizer: str) -> Tensor | float:
    """What the sum over all pairs is divided by."""
    if normalizer == 'none':
        return 1.0
    if normalizer == 'pairs':
        qualities = [quality != 0 for quality in qualities]
    return global_avg_factors(torch.stack([quality.sum() for quality in qualities]).sum())


def check_response_options(class_divergence: str, normalizer: str) -> None:
    """Raise ConfigError for options that do not exist."""
    if class_divergence not in get_args(ClassDivergence):
        raise ConfigError(
            f"quality_response_loss: class_divergence must be 'bernoulli' or 'softmax', got '{class_divergence}'."
        )
    if normalizer not in get_args(Normalizer):
        raise ConfigError(
            f"quality_response_loss: normalizer must be 'quality', 'pairs' or 'none', got '{normalizer}'."
        )


@MODELS.register_module()
class QualityResponseLoss(nn.Module):
    """Module form of :func:`quality_response_loss`.

    Args:
        class_divergence: ``'bernoulli'`` or ``'softmax'``.
        velocity_weight: Weight of the velocity's entries.
        normalizer: ``'quality'``, ``'pairs'`` or ``'none'`` (as printed).
    """

    def __init__(
        self,
        class_divergence: ClassDivergence = 'bernoulli',
        *,
        velocity_weight: float = 0.2,
        normalizer: Normalizer = 'quality',
    ) -> None:
        super().__init__()
        check_response_options(class_divergence, normalizer)
        self.class_divergence: ClassDivergence = class_divergence
        self.velocity_weight = velocity_weight
        self.normalizer: Normalizer = normalizer

    def forward(
        self,
        student: Predictions,
        teacher: Predictions,
        quality: Tensor,
        pairs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """See :func:`quality_response_loss`."""
        return quality_response_loss(
            student,
            teacher,
            quality,
            pairs,
            class_divergence=self.class_divergence,
            velocity_weight=self.velocity_weight,
            normalizer=self.normalizer,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'class_divergence={self.class_divergence!r}, velocity_weight={self.velocity_weight}, '
            f'normalizer={self.normalizer!r}'
        )

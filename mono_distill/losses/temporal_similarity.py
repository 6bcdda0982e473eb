"""Similarity to what the teacher saw before (the term TD of STXD, NeurIPS 2023).

No code was released. The similarities, the use of the teacher's past for both sides and the direction of the divergence
are those of the authors' talk (slide 7). How similarities become distributions is not printed there; here it is a
softmax over the past points, of cosines at a temperature of 0.1. On 900 random points of 256 channels raw inner
products are one-hot after the softmax and cosines at temperature 1 are uniform: neither teaches anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32, global_avg_factors
from mono_distill.losses.padded_pairs import paired_slots
from mono_distill.losses.unit_vectors import unit_vectors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

Direction = Literal['student_teacher', 'teacher_student', 'symmetric']

# Entries of the matrix of points times past points that a GPU handles in one call: 256 MB of float32.
_LARGEST = 2**26


def temporal_similarity_loss(
    student: Tensor,
    teacher: Tensor,
    past: Tensor | Sequence[Tensor],
    valid: Tensor | None = None,
    past_valid: Tensor | None = None,
    *,
    temperature: float = 0.1,
    normalize: bool = True,
    direction: Direction = 'student_teacher',
) -> Tensor:
    r"""Divergence between the student's and the teacher's similarity to past features of the teacher.

    With :math:`F^{(0)}, G^{(0)}` the teacher's and the student's features at N points of the current frame and
    :math:`F^{(-k)}` the teacher's at M points of the k-th past frame, all of length 1,

    .. math:: T^{(-k)} = \operatorname{softmax}_m(F^{(0)} F^{(-k)\top} / \tau), \quad
        S^{(-k)} = \operatorname{softmax}_m(G^{(0)} F^{(-k)\top} / \tau), \quad
        L = \frac{1}{N} \sum_n \sum_{k=1}^K D_{KL}(S^{(-k)}_n \,\|\, T^{(-k)}_n)

    The mean runs over the points of all images (of all processes). The student needs no past of its own, so that
    single-frame students can be taught, and the order of the past points does not matter, so that no frame is warped
    onto another. Leave the frames out that a scene does not have; repeating the current frame would teach something
    else. An image without past counts with 0.

    Args:
        student: ``(B, N, C)``, current frame.
        teacher: ``(B, N, C)``, the same places of the current frame; receives no gradient.
        past: The teacher's features at points of past frames: ``(B, K, M, C)``, or K tensors ``(B, M, C)``; receives no
            gradient.
        valid: ``(B, N)`` bool, points of the current frame that exist; ``None`` for all.
        past_valid: Bool, ``(B, K)``: frames that exist, or ``(B, K, M)``: points that exist; ``None`` for all. The
            others may hold anything.
        temperature: :math:`\tau`.
        normalize: Whether features are brought to length 1. Without it the similarities are inner products, as printed;
            for channels of unit variance their temperature is C times that of cosines.
        direction: ``'student_teacher'``: :math:`D_{KL}(S \| T)`, as printed. ``'teacher_student'``: the usual direction
            of distillation. ``'symmetric'``: the mean of both.

    Returns:
        0-dim tensor; 0 without points or without past.

    Raises:
        ShapeError: The shapes do not fit.
        ConfigError: An option is unknown or out of range.

    Example:
        >>> points = torch.eye(2).unsqueeze(0)
        >>> loss = temporal_similarity_loss(points.flip(1), points, [points], temperature=1.0)
        >>> round(loss.item(), 4)
        0.4621
    """
    _check_options(temperature, direction)
    s, t, rows = paired_slots(student, teacher, valid, axes='B, N, C', loss='temporal_similarity_loss')
    anchors, columns = _anchors(past, past_valid, s)
    with full_precision(s):
        if normalize:
            s, t, anchors = (unit_vectors(x) for x in (s, t, anchors))
        s, t = s / temperature, t / temperature
        images = _images_at_once(s, anchors)
        divergences = []
        for begin in range(0, len(s), images):
            part = slice(begin, begin + images)
            exists = None if columns is None or columns.shape[2] == 1 else columns[part]
            ours, theirs = (_log_similarity(x[part], anchors[part], exists) for x in (s, t))
            divergences.append(_divergence(ours, theirs, direction))
        kept = rows.unsqueeze(2)
        if columns is not None:
            kept = kept & columns.any(2).unsqueeze(1)
        divergence = divergences[0] if len(divergences) == 1 else torch.cat(divergences)
        return torch.where(kept, divergence, 0.0).sum() / global_avg_factors(rows.sum())


def _images_at_once(points: Tensor, anchors: Tensor) -> int:
    """How many images are compared in one call."""
    if points.device.type == 'cpu':
        # Matrices of points times past points of several images are too large for its caches.
        return 1
    return max(1, _LARGEST // max(1, points.shape[1] * anchors.shape[1] * anchors.shape[2]))


def _anchors(
    past: Tensor | Sequence[Tensor], past_valid: Tensor | None, student: Tensor
) -> tuple[Tensor, Tensor | None]:
    """Past features ``(B, K, M, C)``, zero where they do not exist, and what exists: ``(B, K, 1)`` frames or points."""
    if not isinstance(past, Tensor):
        shapes = [tuple(frame.shape) for frame in past]
        if not shapes or any(shape != shapes[0] for shape in shapes):
            raise ShapeError(
                f'temporal_similarity_loss: past frames have shapes {shapes}; give at least one, and pad all to the '
                'same number of points (past_valid says which exist).'
            )
        past = torch.stack(list(past), dim=1)
    batch, _, channels = student.shape
    if past.dim() != 4 or past.shape[0] != batch or past.shape[3] != channels:
        raise ShapeError(
            f'temporal_similarity_loss: past is {tuple(past.shape)} and student {tuple(student.shape)}; expected past '
            f'features of the teacher of shape ({batch}, K, M, {channels}).'
        )
    past = as_float32(past.detach()).to(student.dtype)
    if past_valid is None:
        return past, None
    if past_valid.dtype != torch.bool or past_valid.shape not in (past.shape[:2], past.shape[:3]):
        raise ShapeError(
            f'temporal_similarity_loss: past_valid is {past_valid.dtype} {tuple(past_valid.shape)}, expected bool '
            f'{tuple(past.shape[:2])} (frames) or {tuple(past.shape[:3])} (points).'
        )
    if past_valid.dim() == 2:
        past_valid = past_valid.unsqueeze(2)
    return torch.where(past_valid.unsqueeze(3), past, 0.0), past_valid


def _log_similarity(points: Tensor, anchors: Tensor, columns: Tensor | None) -> Tensor:
    """Log of the distribution of points ``(B, N, C)`` over the anchors ``(B, K, M, C)`` of each frame."""
    similarity = torch.bmm(points, anchors.flatten(1, 2).transpose(1, 2)).unflatten(2, anchors.shape[1:3])
    if columns is not None:
        # Finite, so that a frame without anchors gives numbers and not NaN, which would reach the gradient.
        similarity = similarity.masked_fill(~columns.unsqueeze(1), torch.finfo(similarity.dtype).min)
    return similarity.log_softmax(-1)


def _divergence(student: Tensor, teacher: Tensor, direction: str) -> Tensor:
    """Divergence of log-distributions over the last dimension."""
    difference = student - teacher
    if direction == 'symmetric':
        return 0.5 * ((student.exp() - teacher.exp()) * difference).sum(-1)
    if direction == 'student_teacher':
        return (student.exp() * difference).sum(-1)
    return -(teacher.exp() * difference).sum(-1)


def _check_options(temperature: float, direction: str) -> None:
    """Raise ConfigError for options that do not exist or are out of range."""
    if not temperature > 0:
        raise ConfigError(f'temporal_similarity_loss: temperature must be positive, got {temperature}.')
    if direction not in get_args(Direction):
        raise ConfigError(
            f"temporal_similarity_loss: direction must be one of {', '.join(get_args(Direction))}, got '{direction}'."
        )


@MODELS.register_module()
class TemporalSimilarityLoss(nn.Module):
    """Module form of :func:`temporal_similarity_loss`.

    Args:
        temperature: Divisor of the similarities.
        normalize: Whether features are brought to length 1.
        direction: ``'student_teacher'`` (as printed), ``'teacher_student'`` or ``'symmetric'``.
    """

    def __init__(
        self, temperature: float = 0.1, *, normalize: bool = True, direction: Direction = 'student_teacher'
    ) -> None:
        super().__init__()
        _check_options(temperature, direction)
        self.temperature = temperature
        self.normalize = normalize
        self.direction: Direction = direction

    def forward(
        self,
        student: Tensor,
        teacher: Tensor,
        past: Tensor | Sequence[Tensor],
        valid: Tensor | None = None,
        past_valid: Tensor | None = None,
    ) -> Tensor:
        """See :func:`temporal_similarity_loss`."""
        return temporal_similarity_loss(
            student,
            teacher,
            past,
            valid,
            past_valid,
            temperature=self.temperature,
            normalize=self.normalize,
            direction=self.direction,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'temperature={self.temperature}, normalize={self.normalize}, direction={self.direction!r}'

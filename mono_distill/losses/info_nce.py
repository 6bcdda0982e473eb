"""Contrast between the points of student and teacher (BEVDistill, ICLR 2023)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import global_avg_factors, masked_mean
from mono_distill.losses.padded_pairs import paired_slots
from mono_distill.losses.unit_vectors import unit_vectors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

Directions = Literal['teacher_to_student', 'both']
Negatives = Literal['image', 'batch']


def info_nce_loss(
    student: Tensor,
    teacher: Tensor,
    valid: Tensor | None = None,
    *,
    temperature: float = 0.07,
    directions: Directions = 'teacher_to_student',
    negatives: Negatives = 'image',
    train_teacher_projector: bool = False,
) -> Tensor:
    r"""How well the student's vector at a point is told from those at other points, given the teacher's.

    With unit vectors :math:`s_i, t_i` at the valid points V of an image,

    .. math:: L = -\frac{1}{|V|} \sum_{i \in V}
        \log \frac{\exp(t_i \cdot s_i / \tau)}{\sum_{j \in V} \exp(t_i \cdot s_j / \tau)}

    that is, the cross entropy of the matrix of similarities with its diagonal as labels. Under distributed training
    the mean runs over the points of all processes, the negatives j over those of one.

    In BEVDistill (``bev_distiller.py`` lines 250-263, ``moco_cl_head.py`` lines 10-81; weight 0.2) the points are the
    predicted centres of 900 queries in six decoder layers, one frame per device, and both sides pass a trained
    projector, :class:`mono_distill.adapters.Projector`. In a distiller the teacher's projector is an adapter like any
    other; ``train_teacher_projector=True`` lets the gradient through to it, and its ``detach_input=True`` ends the
    gradient before the teacher's features::

        adapters=dict(
            s_projected=dict(type='mono_distill.Projector', in_channels=256, inputs='s_points'),
            t_projected=dict(type='mono_distill.Projector', in_channels=256, detach_input=True, inputs='t_points'),
        ),
        losses=dict(
            contrast=dict(
                type='mono_distill.InfoNCELoss', train_teacher_projector=True, weight=0.2,
                inputs=dict(student='s_projected', teacher='t_projected'),
            )
        )

    A projector whose gradient is cut would stay random, and under DDP its parameters would be waited for.

    Args:
        student: ``(B, N, D)`` vectors at N points, of any length.
        teacher: The same points; receives no gradient unless ``train_teacher_projector``.
        valid: ``(B, N)`` bool, the points that count; ``None`` for all. Invalid slots may hold anything.
        temperature: The :math:`\tau`.
        directions: ``'teacher_to_student'`` as above and officially; ``'both'`` averages it with the loss in which
            student and teacher are exchanged.
        negatives: Whether j runs over the points of the ``'image'`` or of the ``'batch'`` of the device. Officially
            both are the same, with one frame per device.
        train_teacher_projector: Whether ``teacher`` is the output of a projector that is trained too, as officially.

    Returns:
        0-dim tensor; 0 without points.

    Raises:
        ShapeError: The shapes do not fit.
        ConfigError: An option does not exist or the temperature is not positive.

    Example:
        >>> points = torch.eye(2).unsqueeze(0)
        >>> info_nce_loss(points, points, temperature=1.0)
        tensor(0.3133)
        >>> info_nce_loss(points.flip(1), points, temperature=1.0)
        tensor(1.3133)
    """
    _check_options(temperature, directions, negatives)
    s, t, valid = paired_slots(
        student, teacher, valid, axes='B, N, D', loss='info_nce_loss', detach_teacher=not train_teacher_projector
    )
    if negatives == 'batch':
        s, t, valid = s.flatten(0, 1).unsqueeze(0), t.flatten(0, 1).unsqueeze(0), valid.reshape(1, -1)
    with full_precision(s):
        s, t = unit_vectors(s), unit_vectors(t)
        log_sums = _log_sum(t, s, valid, temperature)
        if directions == 'both':
            log_sums = (log_sums + _log_sum(s, t, valid, temperature)) / 2
        loss = log_sums - (s * t).sum(-1) / temperature
        return masked_mean(loss, valid, global_avg_factors(valid.sum()).to(loss.dtype))


def _log_sum(queries: Tensor, keys: Tensor, valid: Tensor, temperature: float) -> Tensor:
    """Logarithm of the sum over valid keys of the exponential similarities of each query: ``(B, N)``."""
    # Finite, so that an image without valid points gives a number, which the mask then drops.
    bias = torch.where(valid, 0.0, -1e30).to(queries.dtype).unsqueeze(1)
    return torch.baddbmm(bias, queries, keys.transpose(1, 2), alpha=1 / temperature).logsumexp(2)


def _check_options(temperature: float, directions: str, negatives: str) -> None:
    if not temperature > 0:
        raise ConfigError(f'info_nce_loss: temperature must be positive, got {temperature}.')
    if directions not in get_args(Directions):
        raise ConfigError(f"info_nce_loss: directions must be 'teacher_to_student' or 'both', got '{directions}'.")
    if negatives not in get_args(Negatives):
        raise ConfigError(f"info_nce_loss: negatives must be 'image' or 'batch', got '{negatives}'.")


@MODELS.register_module()
class InfoNCELoss(nn.Module):
    """Module form of :func:`info_nce_loss`.

    Args:
        temperature: What similarities are divided by.
        directions: ``'teacher_to_student'`` or ``'both'``.
        negatives: Points of the ``'image'`` or of the ``'batch'``.
        train_teacher_projector: Whether the gradient goes on to the teacher's side, which must then be an adapter.
    """

    def __init__(
        self,
        temperature: float = 0.07,
        *,
        directions: Directions = 'teacher_to_student',
        negatives: Negatives = 'image',
        train_teacher_projector: bool = False,
    ) -> None:
        super().__init__()
        _check_options(temperature, directions, negatives)
        self.temperature = temperature
        self.directions: Directions = directions
        self.negatives: Negatives = negatives
        self.train_teacher_projector = train_teacher_projector

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """See :func:`info_nce_loss`."""
        return info_nce_loss(
            student,
            teacher,
            valid,
            temperature=self.temperature,
            directions=self.directions,
            negatives=self.negatives,
            train_teacher_projector=self.train_teacher_projector,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'temperature={self.temperature}, directions={self.directions!r}, negatives={self.negatives!r}, '
            f'train_teacher_projector={self.train_teacher_projector}'
        )

"""Checks, precision and padding shared by the losses that compare padded lists of a student and a teacher."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.losses.masked import as_float32
from mono_distill.utils.errors import ShapeError


def paired_slots(
    student: Tensor,
    teacher: Tensor,
    valid: Tensor | None,
    *,
    axes: str,
    loss: str,
    detach_teacher: bool = True,
    same_width: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pair what two padded lists hold, in full precision, with zeros in the slots that are not valid.

    Args:
        student: ``(B, N, ...)``.
        teacher: The same shape.
        valid: ``(B, N)`` bool, the slots that hold something; ``None``: all. Others may hold anything, even NaN.
        axes: Names of the axes, e.g. ``'B, N, C'``; says how many there must be.
        loss: Name of the loss, for the messages.
        detach_teacher: Whether the teacher's side is cut from the graph.
        same_width: Whether the last axis must have the same length on both sides. A loss that compares relations
            between slots needs no common one.

    Returns:
        Student, teacher and ``valid``. Half precision is raised to float32, float64 is kept, and the teacher takes the
        dtype of the student.

    Raises:
        ShapeError: The shapes differ, have the wrong number of axes or do not fit ``valid``.

    Example:
        >>> features = torch.tensor([[[1.0], [float('nan')]]])
        >>> paired_slots(features, features, torch.tensor([[True, False]]), axes='B, N, C', loss='demo')[0]
        tensor([[[1.],
                 [0.]]])
    """
    compared = slice(None) if same_width else slice(-1)
    fits = student.dim() == teacher.dim() == axes.count(',') + 1
    if not fits or student.shape[compared] != teacher.shape[compared]:
        remedy = ', and an adapter where the channels differ' if same_width else ''
        raise ShapeError(
            f'{loss}: student {tuple(student.shape)} and teacher {tuple(teacher.shape)}; expected both as ({axes}) of '
            f'one shape: the same slots on both sides{remedy}.'
        )
    student = as_float32(student)
    teacher = as_float32(teacher.detach() if detach_teacher else teacher).to(student.dtype)
    slots = (student.shape[0], student.shape[1])
    if valid is None:
        return student, teacher, torch.ones(slots, dtype=torch.bool, device=student.device)
    if valid.dtype != torch.bool or valid.shape != slots:
        raise ShapeError(
            f'{loss}: valid is {valid.dtype} {tuple(valid.shape)}, expected bool {slots}, one entry per slot of the '
            'student.'
        )
    inside = valid.reshape(*slots, *[1] * (student.dim() - 2))
    # Not multiplied by zero: the gradient of what follows would still be NaN where an empty slot holds NaN.
    return torch.where(inside, student, 0.0), torch.where(inside, teacher, 0.0), valid

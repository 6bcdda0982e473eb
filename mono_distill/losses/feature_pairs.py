"""Checks and precision shared by the losses that compare feature maps of a student and a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from mono_distill.losses.masked import as_float32
from mono_distill.utils.errors import ShapeError

Features = Tensor | Sequence[Tensor]


def paired_levels(
    student: Features, teacher: Features, *, loss: str, same_width: bool = True
) -> list[tuple[Tensor, Tensor]]:
    """Pair the levels of student and teacher, in full precision, with the teacher detached.

    Args:
        student: A map ``(B, C, H, W)`` or a sequence of maps, fine to coarse.
        teacher: The same.
        loss: Name of the loss, for the messages.
        same_width: Whether both sides of a level must have the same channels. A loss that compares relations between
            places or objects needs no common ones.

    Returns:
        Pairs of maps of equal shape, or equal up to the channels without ``same_width``; half precision is raised to
        float32, float64 is kept.

    Raises:
        ShapeError: The numbers of levels or the shapes of a level differ, or a level is not four-dimensional.

    Example:
        >>> [(s, t)] = paired_levels(torch.ones(1, 2, 3, 4).half(), torch.ones(1, 2, 3, 4), loss='demo')
        >>> s.dtype
        torch.float32
    """
    student_levels = [student] if isinstance(student, Tensor) else list(student)
    teacher_levels = [teacher] if isinstance(teacher, Tensor) else list(teacher)
    if len(student_levels) != len(teacher_levels) or not student_levels:
        raise ShapeError(
            f'{loss}: the student has {len(student_levels)} levels and the teacher {len(teacher_levels)}; '
            'tap the same levels of both.'
        )
    pairs = []
    for index, (s, t) in enumerate(zip(student_levels, teacher_levels, strict=True)):
        _check_level(s, t, f'{loss}: level {index}', same_width)
        pairs.append((as_float32(s), as_float32(t.detach())))
    return pairs


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """Context in which autocast leaves the operations on the device of ``tensor`` alone."""
    return torch.autocast(tensor.device.type, enabled=False)


def _check_level(student: Tensor, teacher: Tensor, where: str, same_width: bool) -> None:
    """Raise unless both are ``(B, C, H, W)`` that fit each other, and say how the difference is mended."""
    shapes = f'student {tuple(student.shape)} and teacher {tuple(teacher.shape)}'
    if student.dim() != 4 or teacher.dim() != 4:
        raise ShapeError(f'{where}: {shapes}; expected feature maps of shape (B, C, H, W).')
    if student.shape[0] != teacher.shape[0]:
        hint = 'both must see the same batch.'
    elif student.shape[2:] != teacher.shape[2:]:
        hint = 'tap levels of the same stride, or resize one of them in an adapter.'
    elif same_width and student.shape[1] != teacher.shape[1]:
        hint = f"add an adapter that maps {student.shape[1]} to {teacher.shape[1]} channels to the student's tap."
    else:
        return
    raise ShapeError(f'{where}: {shapes} differ; {hint}')

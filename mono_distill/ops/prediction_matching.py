"""Pairs of student and teacher predictions of the same objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mono_distill.utils.errors import ConfigError, NonFiniteError, ShapeError


@torch.no_grad()
def prediction_cost(
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    *,
    class_weight: float = 1.0,
    box_weight: float = 0.25,
    box_entries: int = 8,
) -> Tensor:
    r"""Cost of pairing each student prediction with each teacher prediction.

    .. math:: w_{cls} \sum_c \operatorname{BCE}(\tilde p_{sc}, p_{tc}) + w_{box} \sum_{d < 8} |\tilde b_{sd} - b_{td}|

    that is, the binary cross-entropy of the student's class probabilities against the teacher's as soft labels, and the
    L1 distance of the box codes without velocity, with the weights of BEVDistill's assigner
    (``distill_hungarian_assigner_3d.py``). The cross-entropy is one product of matrices.

    Args:
        student: ``logits (..., S, C)`` and box codes ``boxes (..., S, D)``, see
            :func:`mono_distill.ops.encode_box_code`. Leading dimensions may hold decoder layers and images.
        teacher: ``logits (..., T, C)`` and ``boxes (..., T, D)``; leading dimensions broadcast against the student's.
        class_weight: :math:`w_{cls}`.
        box_weight: :math:`w_{box}`.
        box_entries: How many entries of the code count.

    Returns:
        ``(..., S, T)``, at least float32, without gradient.

    Raises:
        ConfigError: ``logits`` or ``boxes`` is missing.
        ShapeError: Student and teacher have different numbers of classes or entries.

    Example:
        >>> student = dict(logits=torch.tensor([[9.0], [-9.0]]), boxes=torch.zeros(2, 10))
        >>> teacher = dict(logits=torch.tensor([[9.0]]), boxes=torch.zeros(1, 10))
        >>> prediction_cost(student, teacher).round()
        tensor([[0.],
                [9.]])
    """
    (logits, code), (targets, target_code) = _read(student, 'student'), _read(teacher, 'teacher')
    for ours, theirs, name in ((logits, targets, 'logits'), (code, target_code, 'boxes')):
        if ours.shape[-1] != theirs.shape[-1]:
            raise ShapeError(
                f'prediction_cost: {name} of the student {tuple(ours.shape)} and of the teacher {tuple(theirs.shape)} '
                'differ in the last dimension.'
            )
    with torch.autocast(logits.device.type, enabled=False):
        # BCE(x, y) = softplus(x) - x y
        classes = F.softplus(logits).sum(-1, keepdim=True) - logits @ targets.sigmoid().transpose(-2, -1)
        boxes = torch.cdist(code[..., :box_entries], target_code[..., :box_entries], p=1.0)
        return class_weight * classes + box_weight * boxes


@torch.no_grad()
def hungarian_matching(
    cost: Tensor, student_valid: Tensor | None = None, teacher_valid: Tensor | None = None
) -> dict[str, Tensor]:
    """Pair students and teachers one to one at the least total cost.

    scipy solves it on the host. All costs (of all images and decoder layers) are fetched in one transfer, for which the
    device is waited for once, and all indices return in one; hand in all that a step needs at once. See
    :func:`mutual_nearest_matching` for a form that never waits.

    Args:
        cost: ``(..., S, T)``, finite where both predictions exist.
        student_valid: ``(..., S)`` bool, predictions that exist; ``None`` for all. Leading dimensions broadcast.
        teacher_valid: ``(..., T)`` bool, likewise.

    Returns:
        ``student`` and ``teacher``: indices ``(..., P)`` of the pairs, P = min(S, T), in ascending order of the
        student, 0 where there is no pair; ``valid``: ``(..., P)`` bool.

    Raises:
        ConfigError: scipy is not installed.
        NonFiniteError: A cost is NaN or infinite; a whole row or column of +infinity counts as padding instead.
        ShapeError: The shapes do not fit.

    Example:
        >>> pairs = hungarian_matching(torch.tensor([[1.0, 2.0], [1.5, 9.0], [0.0, 9.0]]))
        >>> pairs['student'], pairs['teacher']
        (tensor([0, 2]), tensor([1, 0]))
    """
    solve = _solver()
    padded = _without_padding(cost, student_valid, teacher_valid)
    *lead, students, teachers = padded.shape
    problems = padded.double().cpu().numpy().reshape(math.prod(lead), students, teachers)
    pairs = np.full((2, len(problems), min(students, teachers)), -1, dtype=np.int64)
    for index, problem in enumerate(problems):
        exists = ~np.isposinf(problem)
        rows, columns = np.flatnonzero(exists.any(1)), np.flatnonzero(exists.any(0))
        block = problem[np.ix_(rows, columns)]
        if not np.isfinite(block).all():
            raise NonFiniteError(
                f'hungarian_matching: problem {index} of {len(problems)} has costs that are NaN or infinite; look for '
                'a student or teacher prediction that is.'
            )
        chosen_rows, chosen_columns = solve(block)
        pairs[0, index, : len(chosen_rows)] = rows[chosen_rows]
        pairs[1, index, : len(chosen_rows)] = columns[chosen_columns]
    indices = torch.from_numpy(pairs).to(cost.device).view(2, *lead, pairs.shape[2])
    return {'student': indices[0].clamp(min=0), 'teacher': indices[1].clamp(min=0), 'valid': indices[0] >= 0}


@torch.no_grad()
def mutual_nearest_matching(
    cost: Tensor, student_valid: Tensor | None = None, teacher_valid: Tensor | None = None
) -> dict[str, Tensor]:
    """Pair each teacher with the student that costs it least, if it costs that student least, too.

    One to one and without waiting for the device. Where predictions compete, fewer pairs result than from
    :func:`hungarian_matching`, and none of them is second best.

    Args:
        cost: ``(..., S, T)``.
        student_valid: ``(..., S)`` bool, predictions that exist; ``None`` for all.
        teacher_valid: ``(..., T)`` bool, likewise.

    Returns:
        ``student``, ``teacher`` and ``valid`` ``(..., T)``, an entry per teacher; the indices are in range where there
        is no pair, too.

    Raises:
        ShapeError: The shapes do not fit.

    Example:
        >>> pairs = mutual_nearest_matching(torch.tensor([[1.0, 2.0], [1.5, 9.0], [0.0, 9.0]]))
        >>> pairs['student'], pairs['teacher'], pairs['valid']
        (tensor([2, 0]), tensor([0, 1]), tensor([ True, False]))
    """
    padded = _without_padding(cost, student_valid, teacher_valid)
    *lead, students, teachers = padded.shape
    teacher = torch.arange(teachers, device=cost.device).expand(*lead, teachers)
    if students == 0 or teachers == 0:
        return {'student': torch.zeros_like(teacher), 'teacher': teacher, 'valid': torch.zeros_like(teacher).bool()}
    best, student = padded.min(-2)
    favourite = padded.argmin(-1).gather(-1, student)
    return {'student': student, 'teacher': teacher, 'valid': (favourite == teacher) & ~best.isposinf()}


def _read(predictions: Mapping[str, Tensor], side: str) -> tuple[Tensor, Tensor]:
    """Logits and code of one side in at least float32."""
    missing = [name for name in ('logits', 'boxes') if name not in predictions]
    if missing:
        raise ConfigError(f"prediction_cost: {side} needs '{missing[0]}', got only: {', '.join(sorted(predictions))}.")
    logits, code = (x if x.dtype == torch.float64 else x.float() for x in (predictions['logits'], predictions['boxes']))
    return logits, code


def _without_padding(cost: Tensor, student_valid: Tensor | None, teacher_valid: Tensor | None) -> Tensor:
    """Costs with infinity where one of the predictions does not exist."""
    if cost.dim() < 2:
        raise ShapeError(f'matching: cost has shape {tuple(cost.shape)}, expected (..., students, teachers).')
    cost = cost.detach()
    for valid, dim, side in ((student_valid, -2, 'student'), (teacher_valid, -1, 'teacher')):
        if valid is None:
            continue
        if valid.dtype != torch.bool or valid.dim() == 0 or valid.shape[-1] != cost.shape[dim]:
            raise ShapeError(
                f'matching: {side}_valid is {valid.dtype} {tuple(valid.shape)} for costs {tuple(cost.shape)}; expected '
                f'bool with {cost.shape[dim]} entries in the last dimension.'
            )
        cost = torch.where(valid.unsqueeze(-1 if dim == -2 else -2), cost, float('inf'))
    return cost


def _solver() -> Callable[[np.ndarray], tuple[Any, Any]]:
    # Imported on first use: nothing else here needs scipy.
    try:
        from scipy.optimize import linear_sum_assignment
    except ModuleNotFoundError as error:
        if (error.name or '').partition('.')[0] != 'scipy':
            raise
        raise ConfigError(
            'hungarian_matching needs scipy, which is not installed: run "pip install scipy", or use '
            'mutual_nearest_matching.'
        ) from error
    return linear_sum_assignment

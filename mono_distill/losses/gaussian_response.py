"""Imitation of the dense outputs of a CenterPoint-type head around objects (UniDistill, CVPR 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32, mean_over_ranks, require_shape
from mono_distill.losses.tensor_dict import head_tasks, require_tensors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

Tensors = Mapping[str, Tensor]
Tasks = Tensors | Sequence[Tensors]
_LOSS = 'gaussian_response_loss'
_HEAT = 'heatmap'


def gaussian_response_loss(
    student: Tasks,
    teacher: Tasks,
    mask: Tensor,
    *,
    teacher_temperature: float = 1.0,
    student_probabilities: bool = False,
) -> Tensor:
    """Sum of :func:`gaussian_response_terms`, which takes the same arguments.

    Returns:
        0-dim tensor; 0 without objects.

    Example:
        >>> zeros = dict(heatmap=torch.zeros(1, 3, 1, 2), reg=torch.zeros(1, 2, 1, 2))
        >>> mask = torch.tensor([[[1.0, 0.0]]])
        >>> gaussian_response_loss(zeros, {**zeros, 'reg': torch.ones(1, 2, 1, 2)}, mask)
        tensor(1.)
    """
    terms = gaussian_response_terms(
        student,
        teacher,
        mask,
        teacher_temperature=teacher_temperature,
        student_probabilities=student_probabilities,
    )
    return torch.stack(list(terms.values())).sum()


def gaussian_response_terms(
    student: Tasks,
    teacher: Tasks,
    mask: Tensor,
    *,
    teacher_temperature: float = 1.0,
    student_probabilities: bool = False,
) -> dict[str, Tensor]:
    r"""Distances of two heads' maps, weighted by a map that is 1 at object centres and falls off around them.

    With the heatmap logits z of all classes k and the regression maps :math:`y` of all tasks, their channels d
    together,

    .. math::
        L_{cls} &= \frac{1}{\sum M} \sum_{b,h,w} M\,
            \big|\max_k \sigma(z^S_k) - \max_k \sigma(z^T_k / \theta)\big| \\
        L_{reg} &= \frac{1}{\sum M} \sum_{b,h,w} M \operatorname{mean}_d |y^S_d - y^T_d|

    The classes are not told apart. Without objects both terms are 0. Under distributed training :math:`\sum M` is that
    of the global batch.

    Official code: ``...camera_exp_distill_lidar.py`` lines 326-385, both with weight 10.
    There :math:`M` is CenterNet's Gaussian (:func:`mono_distill.targets.bev_gaussian_mask` with an overlap of 0.7 and a
    radius of at least 0), and the teacher's logits are halved (``teacher_temperature=2``) while the student's are not,
    so that the student imitates a less certain teacher. The maps compared are those of the head as trained: sines,
    logarithms and offsets, not boxes. The loss of mmdet3d's CenterHead overwrites the student's logits with
    probabilities in place, before taps are read: give ``student_probabilities=True`` there, as officially.

    Args:
        student: ``heatmap`` logits ``(B, K, H, W)`` and regression maps ``(B, D, H, W)`` under any names; or a sequence
            of such dicts, one per task.
        teacher: The same tasks and names; receives no gradient. What the student does not have is not read.
        mask: ``(B, H, W)`` weights in [0, 1].
        teacher_temperature: The :math:`\theta`; officially 2.
        student_probabilities: Whether the student's heatmap has passed its sigmoid already.

    Returns:
        ``cls`` and ``reg``, 0-dim tensors.

    Raises:
        ConfigError: A map is missing, there is no regression map, or the temperature is not positive.
        ShapeError: The shapes or the numbers of tasks do not fit.

    Example:
        >>> logits = torch.tensor([2.0, -2.0]).reshape(1, 2, 1, 1)
        >>> head = dict(heatmap=logits, reg=torch.zeros(1, 2, 1, 1))
        >>> gaussian_response_terms(head, head, torch.ones(1, 1, 1), teacher_temperature=2.0)['cls']
        tensor(0.1497)
    """
    _check_temperature(teacher_temperature)
    tasks = _paired_tasks(student, teacher)
    s_heat, t_heat = zip(*(task.pop(_HEAT) for task in tasks), strict=True)
    require_shape(mask, tuple(s_heat[0][:, 0].shape), loss=_LOSS, name='mask')
    maps = [pair for task in tasks for pair in task.values()]
    if not maps:
        raise ConfigError(f"{_LOSS}: the student's heads have no map besides '{_HEAT}'; tap the regression maps too.")
    with full_precision(mask):
        m = mask.detach().to(s_heat[0].dtype)
        # The sigmoid keeps the order, so it is taken of the largest logit only.
        ours = _largest(s_heat) if student_probabilities else _largest(s_heat).sigmoid()
        certainty = ours - (_largest(t_heat) / teacher_temperature).sigmoid()
        regression = torch.stack([(s - t).abs().sum(1) for s, t in maps]).sum(0) / sum(s.shape[1] for s, _ in maps)
        total = mean_over_ranks(m.sum())
        total = torch.where(total == 0, 1.0, total)
        return {'cls': (certainty.abs() * m).sum() / total, 'reg': (regression * m).sum() / total}


def _largest(heatmaps: Sequence[Tensor]) -> Tensor:
    """Largest logit of all classes of all tasks: ``(B, H, W)``."""
    return torch.stack([heatmap.amax(1) for heatmap in heatmaps]).amax(0)


def _paired_tasks(student: Tasks, teacher: Tasks) -> list[dict[str, tuple[Tensor, Tensor]]]:
    """Check both heads' tasks and pair their maps in full precision, the teacher detached."""
    ours, theirs = head_tasks(student), head_tasks(teacher)
    if len(ours) != len(theirs) or not ours:
        raise ShapeError(
            f'{_LOSS}: the student has {len(ours)} tasks and the teacher {len(theirs)}; both heads must split the '
            'classes alike.'
        )
    (first,) = require_tensors(ours[0], {_HEAT: (None,) * 4}, owner=f'{_LOSS}: student')
    batch, _, height, width = first.shape
    pairs = []
    for our, their in zip(ours, theirs, strict=True):
        names = list(dict.fromkeys((_HEAT, *our)))
        maps = require_tensors(our, dict.fromkeys(names, (batch, None, height, width)), owner=f'{_LOSS}: student')
        shapes = {name: tuple(x.shape) for name, x in zip(names, maps, strict=True)}
        goals = require_tensors(their, shapes, owner=f'{_LOSS}: teacher')
        both = ((as_float32(s), as_float32(t.detach())) for s, t in zip(maps, goals, strict=True))
        pairs.append(dict(zip(names, both, strict=True)))
    return pairs


def _check_temperature(teacher_temperature: float) -> None:
    if not teacher_temperature > 0:
        raise ConfigError(f'{_LOSS}: teacher_temperature must be positive, got {teacher_temperature}.')


@MODELS.register_module()
class GaussianResponseLoss(nn.Module):
    """Module form of :func:`gaussian_response_loss`.

    Args:
        teacher_temperature: What the teacher's heatmap logits are divided by; 2 as released.
        student_probabilities: Whether the student's heatmap has passed its sigmoid already.
    """

    def __init__(self, teacher_temperature: float = 1.0, *, student_probabilities: bool = False) -> None:
        super().__init__()
        _check_temperature(teacher_temperature)
        self.teacher_temperature = teacher_temperature
        self.student_probabilities = student_probabilities

    def forward(self, student: Tasks, teacher: Tasks, mask: Tensor) -> Tensor:
        """See :func:`gaussian_response_loss`."""
        return gaussian_response_loss(
            student,
            teacher,
            mask,
            teacher_temperature=self.teacher_temperature,
            student_probabilities=self.student_probabilities,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'teacher_temperature={self.teacher_temperature}, student_probabilities={self.student_probabilities}'

"""Rank correlation between student and teacher features (MonoSKD, ECAI 2023).

The paper is about Spearman's coefficient, the form ``'rank'``. The official code (``lib/losses/myloss.py``, called from
``lib/models/DID_distill.py``) soft-ranks one side only, receives student and teacher in swapped order, so that the
teacher is the ranked one, and uses ``eps = 1``: on 30 720 and more numbers of order one the soft rank then never leaves
its linear regime (see :func:`mono_distill.ops.soft_rank`) and merely subtracts the mean of the image. The published
numbers are thus those of a Pearson correlation, the form ``'released'``; in the official log it falls from 3.72 to
0.155 (four levels). The forms ``'soft_rank_teacher'`` and ``'soft_rank_student'`` are the official function as it is
called and as its arguments are named, for any ``eps``.

How soft the ranks should be: the relative ``eps`` trades faithful ranks for gradient, because an entry alone in its
pool of the soft rank has none. ``benchmarks/spearman_eps.py`` measures both on DLA-34 features of KITTI images (random
initialisation; strides 8 and 32; even and heavy-tailed channels, up to 75 % zeros) before and after training a conv
adapter for 30 Adam steps, and Spearman's coefficient after them. Ranges over the four settings:

========  ============================  ===================================  =========================
eps       share of entries with         correlation of soft with             coefficient reached in the
          gradient                      hard ranks                           four settings
========  ============================  ===================================  =========================
0.1       0.06 to 0.12                  1.00                                 0.53, 0.30, 0.71, 0.63
0.5       0.28 to 0.47                  1.00                                 0.56, 0.39, 0.71, 0.63
1         0.49 to 0.72                  0.97 to 1.00                         0.57, 0.45, 0.72, 0.63
2         0.75 to 0.85                  0.90 to 1.00                         0.57, 0.48, 0.74, 0.65
3         0.88 to 0.92                  0.89 to 0.99                         0.58, 0.45, 0.75, 0.65
20        1.00 (linear)                 0.78 to 0.95                         0.58, 0.48, 0.75, 0.65
released  1.00                          0.69 to 0.93                         0.54, 0.37, 0.65, 0.56
========  ============================  ===================================  =========================

From 2 on a softer rank reaches no more, below 1 it reaches less; 2 is the most faithful choice that costs nothing. Most
of the gain over the released form comes from ranking the teacher, whose few large activations dominate a Pearson
correlation.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.ops.average_rank import average_ranks
from mono_distill.ops.resize import resize_to_coarsest
from mono_distill.ops.soft_rank import soft_rank
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

Form = Literal['rank', 'released', 'soft_rank_teacher', 'soft_rank_student']
Statistics = Literal['image', 'batch']
_DEFAULT_EPS: dict[str, float | None] = {
    'rank': 2.0,
    'released': None,
    'soft_rank_teacher': 1.0,
    'soft_rank_student': 1.0,
}


def spearman_loss(
    student: Features,
    teacher: Features,
    *,
    form: Form = 'rank',
    eps: float | None = None,
    statistics: Statistics | None = None,
) -> Tensor:
    r"""Sum over levels of one minus the (rank) correlation of student and teacher.

    Every level is resized bilinearly to the coarsest one and flattened to :math:`N = C H W` numbers per image. What is
    correlated depends on ``form``:

    * ``'rank'`` (default): hard ranks of the teacher with ties averaged (half of a rectified map is ties) and soft
      ranks of the student, per image. ``eps`` is relative: the soft rank is regularised with
      :math:`\varepsilon = \text{eps} \cdot \sigma / N`, :math:`\sigma` being the standard deviation of the image's
      student features, so scale and offset of neither side matter.
    * ``'released'``: the student itself and the teacher minus its mean per image, over the whole block of the batch;
      the official training in closed form.
    * ``'soft_rank_teacher'``, ``'soft_rank_student'``: that side soft-ranked with the absolute ``eps``, the other as it
      is, over the batch; the official code for any ``eps``.

    A constant map has no correlation: its loss is 1 with zero gradient (the official code returns NaN).

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps, fine to coarse.
        teacher: The same shapes; receives no gradient.
        form: What is correlated, see above.
        eps: Regularisation of the soft rank; by default 2 for ``'rank'`` and 1 (official) for the one-sided forms.
        statistics: ``'image'``: one correlation per image, averaged, so that the loss of a batch does not depend on
            how it is split over devices. ``'batch'``: one over all numbers of the (per-device) batch, as officially.
            By default ``'image'`` for ``'rank'`` and ``'batch'`` for the other forms.

    Returns:
        0-dim tensor in ``[0, 2 * levels]``.

    Raises:
        ShapeError: Student and teacher differ in levels or shapes.
        ConfigError: An option is unknown, or ``eps`` is not positive or not used by the form.

    Example:
        >>> features = torch.arange(24.0).reshape(1, 2, 3, 4)
        >>> spearman_loss(features, features.exp(), eps=0.1)
        tensor(0.)
        >>> round(spearman_loss(features, features.exp(), form='released').item(), 3)
        0.503
    """
    _check_options(form, eps, statistics)
    pairs = paired_levels(student, teacher, loss='spearman_loss')
    eps = _DEFAULT_EPS[form] if eps is None else eps
    over_batch = (statistics or ('image' if form == 'rank' else 'batch')) == 'batch'
    with full_precision(pairs[0][0]):
        students, teachers = (resize_to_coarsest(levels) for levels in zip(*pairs, strict=True))
        losses = []
        for s, t in zip(students, teachers, strict=True):
            left, right = _representations(s.flatten(1), t.flatten(1), form, eps)
            if over_batch:
                left, right = left.reshape(1, -1), right.reshape(1, -1)
            losses.append((1 - _correlation(left, right).mean()).to(s.dtype))
        return torch.stack(losses).sum()


def _representations(student: Tensor, teacher: Tensor, form: str, eps: float | None) -> tuple[Tensor, Tensor]:
    """Turn the numbers of each image ``(B, N)`` into what is correlated."""
    if form == 'released' or eps is None:
        return student, teacher - teacher.mean(1, keepdim=True)
    # The soft rank near its linear regime needs digits that float32 does not have.
    if form == 'soft_rank_teacher':
        return student.double(), soft_rank(teacher.double(), eps)
    student = student.double()
    if form == 'soft_rank_student':
        return soft_rank(student, eps), teacher.double()
    # The gradient also flows through the spread: the loss has no slope along the scale of the student.
    n = student.shape[1]
    spread = torch.linalg.vector_norm(student - student.mean(1, keepdim=True), dim=1, keepdim=True) / n**0.5
    spread = torch.where(_is_constant(spread.detach(), student), 1.0, spread)
    return soft_rank(student, eps * spread / n), average_ranks(teacher)


def _correlation(left: Tensor, right: Tensor) -> Tensor:
    """Pearson correlation of each row ``(R, N)``; 0 without gradient where one side is constant."""
    n = left.shape[1]
    centred_left = left - left.mean(1, keepdim=True)
    centred_right = right - right.mean(1, keepdim=True)
    power_left = centred_left.square().sum(1)
    power_right = centred_right.square().sum(1)
    constant = _is_constant((power_left.detach() / n).sqrt(), left) | _is_constant((power_right / n).sqrt(), right)
    scale = torch.where(constant, 1.0, power_left).sqrt() * torch.where(constant, 1.0, power_right).sqrt()
    return torch.where(constant, 0.0, (centred_left * centred_right).sum(1) / scale)


def _is_constant(spread: Tensor, rows: Tensor) -> Tensor:
    """Whether the standard deviation of each row is no more than the rounding error of its mean."""
    size = torch.maximum(rows.detach().amax(1), -rows.detach().amin(1)).view_as(spread)
    return spread <= 8 * torch.finfo(rows.dtype).eps * size


def _check_options(form: str, eps: float | None, statistics: str | None) -> None:
    """Raise ConfigError for options that do not exist or do not fit."""
    if form not in get_args(Form):
        raise ConfigError(f"spearman_loss: form must be one of {', '.join(get_args(Form))}, got '{form}'.")
    if statistics is not None and statistics not in get_args(Statistics):
        raise ConfigError(f"spearman_loss: statistics must be 'image', 'batch' or None, got '{statistics}'.")
    if eps is not None and form == 'released':
        raise ConfigError("spearman_loss: form='released' has no eps; use form='soft_rank_teacher' to choose one.")
    if eps is not None and not eps > 0:
        raise ConfigError(f'spearman_loss: eps must be positive, got {eps}.')


@MODELS.register_module()
class SpearmanLoss(nn.Module):
    """Module form of :func:`spearman_loss`.

    Args:
        form: ``'rank'`` (Spearman's coefficient), ``'released'`` (what the official training computes),
            ``'soft_rank_teacher'`` or ``'soft_rank_student'``.
        eps: Regularisation of the soft rank; ``None`` for the default of the form.
        statistics: ``'image'``, ``'batch'``, or ``None`` for the default of the form.
    """

    def __init__(self, form: Form = 'rank', *, eps: float | None = None, statistics: Statistics | None = None) -> None:
        super().__init__()
        _check_options(form, eps, statistics)
        self.form: Form = form
        self.eps = eps
        self.statistics = statistics

    def forward(self, student: Features, teacher: Features) -> Tensor:
        """See :func:`spearman_loss`."""
        return spearman_loss(student, teacher, form=self.form, eps=self.eps, statistics=self.statistics)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'form={self.form!r}, eps={self.eps}, statistics={self.statistics!r}'

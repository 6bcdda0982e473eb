"""Structural distillation by cross-correlation of channels (the term CD of STXD, NeurIPS 2023).

No code was released. The formula is that of the authors' talk (slide 6); it is the loss of Barlow Twins (Zbontar et
al., ICML 2021) between a LiDAR teacher and a camera student. How features are normalised, the weight of the
off-diagonal and the choice of points are not printed there: the defaults here are those of Barlow Twins.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32, global_avg_factors
from mono_distill.losses.padded_pairs import paired_slots
from mono_distill.ops.effective_dimension import effective_dimensions
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

Statistics = Literal['image', 'batch', 'global']


def cross_correlation_loss(
    student: Tensor,
    teacher: Tensor,
    valid: Tensor | None = None,
    *,
    off_diagonal_weight: float = 5e-3,
    center: bool = True,
    var_floor: float = 1e-4,
    statistics: Statistics = 'batch',
) -> Tensor:
    r"""Distance of the cross-correlation of teacher and student channels from the identity matrix.

    .. math:: L = \sum_i (1 - C_{ii})^2 + \lambda_c \sum_i \sum_{j \ne i} C_{ij}^2

    with :math:`C` of :func:`cross_correlation`. The first sum aligns channels of the same index, the second asks the
    student for channels that do not repeat each other. A change of scale or offset of a channel of either side changes
    nothing (up to the floor), so no adapter is needed where both have C channels; an adapter that mixes channels may
    take the decorrelation off the student. The sums are not divided: an unrelated student costs about C. A perfect copy
    of a teacher with redundant channels still pays for its off-diagonal.

    A channel that is constant over the points has correlation 0 with all others and costs 1; its gradient is bounded by
    the floor. The features are usually sampled at about 900 places per image: at the queries of a DETR-type student, at
    the highest cells of the teacher's heatmap for a CenterHead (:func:`mono_distill.ops.sample_bev`).

    Args:
        student: ``(B, N, C)`` features at N points of each image.
        teacher: The same shape, at the same places; receives no gradient.
        valid: ``(B, N)`` bool, points that exist; ``None`` for all. Without any the loss is 0.
        off_diagonal_weight: :math:`\lambda_c`; the paper's value is not known.
        center: See :func:`cross_correlation`.
        var_floor: See :func:`cross_correlation`.
        statistics: See :func:`cross_correlation`. Under ``'image'`` the images with points are averaged, over all
            processes.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: The shapes of student, teacher and ``valid`` do not fit.
        ConfigError: An option is unknown or out of range.

    Example:
        >>> eye = torch.eye(2).unsqueeze(0)
        >>> loss = cross_correlation_loss(eye.flip(2), eye, center=False, var_floor=1e-12)
        >>> round(loss.item(), 4)  # C has zeros on the diagonal and ones beside it
        2.01
    """
    _check_options(off_diagonal_weight, var_floor, statistics)
    s, t, _ = paired_slots(student, teacher, valid, axes='B, N, C', loss='cross_correlation_loss')
    with full_precision(s):
        matrices, filled = _correlations(s, t, valid, center, var_floor, statistics)
        identity = torch.eye(s.shape[2], dtype=s.dtype, device=s.device)
        weights = off_diagonal_weight + (1 - off_diagonal_weight) * identity
        losses = (weights * (matrices - identity).square()).sum((1, 2))
        return torch.where(filled, losses, 0.0).sum() / global_avg_factors(filled.sum())


def cross_correlation(
    student: Tensor,
    teacher: Tensor,
    valid: Tensor | None = None,
    *,
    center: bool = True,
    var_floor: float = 1e-4,
    statistics: Statistics = 'batch',
) -> Tensor:
    r"""Correlation of every teacher channel with every student channel over the points.

    .. math:: C_{ij} = \frac{\frac{1}{N} \sum_n (F_{ni} - \bar F_i) (G_{nj} - \bar G_j)}
        {\sqrt{\operatorname{var} F_i + \varepsilon} \sqrt{\operatorname{var} G_j + \varepsilon}}

    :math:`F` is the teacher, :math:`G` the student; variances divide by N. The mean of the diagonal and the root mean
    square of the rest are worth logging.

    Args:
        student: ``(B, N, C)`` features at N points of each image.
        teacher: The same shape; receives no gradient.
        valid: ``(B, N)`` bool, points that exist; ``None`` for all.
        center: Whether means are subtracted. Without it C is a cosine, which between rectified features is never near
            zero: about 0.3 where nothing is related.
        var_floor: :math:`\varepsilon`. It bounds the gradient of dead channels, which dividing by a norm does not.
        statistics: ``'batch'``: over all points of the images of one process. ``'global'``: over those of all
            processes, so that N processes equal one. ``'image'``: a matrix per image.

    Returns:
        ``(C, C)``, teacher times student; ``(B, C, C)`` under ``'image'``. Zero where no point exists.

    Raises:
        ShapeError: The shapes of student, teacher and ``valid`` do not fit.
        ConfigError: An option is unknown or out of range.

    Example:
        >>> features = torch.tensor([[[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]])
        >>> cross_correlation(5 * features + 2, features, var_floor=1e-12).round()
        tensor([[1., 0.],
                [0., 1.]])
    """
    _check_options(0.0, var_floor, statistics)
    s, t, _ = paired_slots(student, teacher, valid, axes='B, N, C', loss='cross_correlation')
    with full_precision(s):
        matrices, _ = _correlations(s, t, valid, center, var_floor, statistics)
        return matrices if statistics == 'image' else matrices[0]


def _correlations(
    student: Tensor, teacher: Tensor, valid: Tensor | None, center: bool, var_floor: float, statistics: str
) -> tuple[Tensor, Tensor]:
    """Correlation matrices ``(G, C, C)`` of groups of points, and whether each group has any (``(G,)`` bool)."""
    if statistics != 'image':
        student, teacher = (x.flatten(0, 1).unsqueeze(0) for x in (student, teacher))
        valid = None if valid is None else valid.flatten().unsqueeze(0)
    over_ranks = statistics == 'global' and get_world_size() > 1
    if valid is None:
        count = student.new_full((len(student), 1), student.shape[1])
    else:
        count = valid.to(student.dtype).sum(1, keepdim=True)
    parts = [count, student.sum(1), teacher.sum(1)]
    count, student_sum, teacher_sum = _sum_over_ranks(parts) if over_ranks else parts
    points = count.clamp(min=1)
    if center:
        means = ((x / points).unsqueeze(1) for x in (student_sum, teacher_sum))
        if valid is not None:
            # Points that do not exist are zero and stay so.
            means = (mean * valid.unsqueeze(2) for mean in means)
        student, teacher = (x - mean for x, mean in zip((student, teacher), means, strict=True))
    parts = [torch.bmm(teacher.transpose(1, 2), student), student.square().sum(1), teacher.square().sum(1)]
    products, student_power, teacher_power = _sum_over_ranks(parts) if over_ranks else parts
    # The floor is inside the root: the root of a power of zero has no slope.
    student_scale = (student_power / points + var_floor).sqrt()
    teacher_scale = (teacher_power / points + var_floor).sqrt()
    scale = points.unsqueeze(2) * teacher_scale.unsqueeze(2) * student_scale.unsqueeze(1)
    return products / scale, count.squeeze(1) > 0


def _sum_over_ranks(parts: list[Tensor]) -> list[Tensor]:
    """Sum tensors over all ranks in one collective, with gradient."""
    packed = _SumOverRanks.apply(torch.cat([part.flatten() for part in parts]))
    chunks = packed.split([part.numel() for part in parts])
    return [chunk.view_as(part) for chunk, part in zip(chunks, parts, strict=True)]


class _SumOverRanks(torch.autograd.Function):
    """Sum over all ranks whose gradient is summed over ranks, too.

    Each rank then has the gradient of the sum of all ranks' (equal) losses, and the mean that DDP takes of it is the
    gradient of one process on the global batch.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.contiguous().clone()
        all_reduce(total, op='sum')
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _SumOverRanks.forward(ctx, gradients[0])


def _check_options(off_diagonal_weight: float, var_floor: float, statistics: str) -> None:
    """Raise ConfigError for options that do not exist or are out of range."""
    if statistics not in get_args(Statistics):
        raise ConfigError(
            f"cross_correlation: statistics must be one of {', '.join(get_args(Statistics))}, got '{statistics}'."
        )
    if not off_diagonal_weight >= 0:
        raise ConfigError(f'cross_correlation: off_diagonal_weight must not be negative, got {off_diagonal_weight}.')
    if not var_floor > 0:
        raise ConfigError(f'cross_correlation: var_floor must be positive, got {var_floor}; dead channels need it.')


@MODELS.register_module()
class CrossCorrelationLoss(nn.Module):
    """Module form of :func:`cross_correlation_loss`.

    Args:
        off_diagonal_weight: Weight of the off-diagonal sum.
        center: Whether means are subtracted.
        var_floor: Added to every variance.
        statistics: ``'batch'`` (per process), ``'global'`` (over all processes) or ``'image'``.
        log_dimensions: Whether a distiller's log shows :func:`mono_distill.ops.effective_dimension` of both sides as
            ``kd_<name>_student_dim`` and ``kd_<name>_teacher_dim``. A student with far fewer directions than its
            teacher has collapsed.
    """

    def __init__(
        self,
        off_diagonal_weight: float = 5e-3,
        *,
        center: bool = True,
        var_floor: float = 1e-4,
        statistics: Statistics = 'batch',
        log_dimensions: bool = False,
    ) -> None:
        super().__init__()
        _check_options(off_diagonal_weight, var_floor, statistics)
        self.off_diagonal_weight = off_diagonal_weight
        self.center = center
        self.var_floor = var_floor
        self.statistics: Statistics = statistics
        self.log_dimensions = log_dimensions
        self.log_vars: dict[str, Tensor] = {}

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """See :func:`cross_correlation_loss`."""
        loss = cross_correlation_loss(
            student,
            teacher,
            valid,
            off_diagonal_weight=self.off_diagonal_weight,
            center=self.center,
            var_floor=self.var_floor,
            statistics=self.statistics,
        )
        if self.log_dimensions:
            ours, theirs = as_float32(student.detach()), as_float32(teacher.detach())
            sides = effective_dimensions(torch.stack([ours, theirs.to(ours.dtype)]), valid)
            self.log_vars = dict(zip(('student_dim', 'teacher_dim'), sides.unbind(), strict=True))
        return loss

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'off_diagonal_weight={self.off_diagonal_weight}, center={self.center}, var_floor={self.var_floor}, '
            f'statistics={self.statistics!r}, log_dimensions={self.log_dimensions}'
        )

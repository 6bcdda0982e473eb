"""Quality focal loss between the class logits of two dense heads (used by CMKD, ECCV 2022, and MonoTAKD, CVPR 2025)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

Images = Literal['mean', 'sum']


def quality_focal_loss(
    student: Features,
    teacher: Features,
    *,
    num_classes: int | None = None,
    beta: float = 2.0,
    score_thr: float = 0.1,
    images: Images = 'mean',
) -> Tensor:
    r"""Cross entropy against the teacher's probabilities, weighted by how far the student is from them.

    With :math:`p = \sigma(S)` and :math:`q = \sigma(T)` at boxes (anchors, places) i of class k in image b,

    .. math:: L = \frac{1}{B} \sum_b \sum_k \frac{1}{n_{bk}} \sum_i |p - q|^\beta\,
        \big(-q \log p - (1 - q) \log (1 - p)\big), \qquad
        n_{bk} = \max\big(1, |\{i : q > \text{score\_thr}\}|\big)

    This is the quality focal loss of `Generalized Focal Loss <https://arxiv.org/abs/2006.04388>`_ (equation 2) with the
    teacher's probability as the quality. mmdet's class of the same name takes ground truth instead. The official code
    of CMKD and MonoTAKD (``pcdet/models/dense_heads/anchor_head_single_cmkd_v2.py``) sums over the images,
    ``images='sum'``, while it averages the other terms of the head, so that the classes weigh more in a larger batch.

    Args:
        student: Logits ``(B, A * K, H, W)`` or sequence of such maps: K classes of A boxes per place, the class running
            fastest, as heads of mmdet3d and OpenPCDet give them. Also a heatmap ``(B, K, H, W)``.
        teacher: The same shapes; receives no gradient.
        num_classes: K; ``None`` for one box per place, that is, every channel is a class.
        beta: How much near misses are spared; 0 is the plain cross entropy.
        score_thr: Probability above which the teacher counts as having found something.
        images: ``'mean'`` or ``'sum'`` over the images, see above.

    Returns:
        0-dim tensor; a sum over levels.

    Raises:
        ShapeError: Student and teacher differ, or the channels are no multiple of ``num_classes``.
        ConfigError: An option is unknown or out of range.

    Example:
        >>> student, teacher = torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), float('inf'))
        >>> round(quality_focal_loss(student, teacher).item(), 4)  # (1 - 0.5)^2 log 2
        0.1733
    """
    check_quality_focal(num_classes, beta, score_thr, images)
    pairs = paired_levels(student, teacher, loss='quality_focal_loss')
    with full_precision(pairs[0][0]):
        levels = [_level_loss(s, t, num_classes or s.shape[1], beta, score_thr) for s, t in pairs]
        total = torch.stack(levels).sum()
        return total / pairs[0][0].shape[0] if images == 'mean' else total


def _level_loss(student: Tensor, teacher: Tensor, num_classes: int, beta: float, score_thr: float) -> Tensor:
    """Sum over the images of one level."""
    if student.shape[1] % num_classes:
        raise ShapeError(
            f'quality_focal_loss: student has {student.shape[1]} channels, no multiple of num_classes={num_classes}; '
            'give logits of every class for every box.'
        )
    s, t = (x.unflatten(1, (-1, num_classes)) for x in (student, teacher))
    quality = t.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(s, quality, reduction='none')
    loss = entropy * (s.sigmoid() - quality).abs().pow(beta)
    found = (quality > score_thr).sum((1, 3, 4)).clamp(min=1)
    return (loss.sum((1, 3, 4)) / found).sum()


def check_quality_focal(
    num_classes: int | None, beta: float, score_thr: float, images: str, *, owner: str = 'quality_focal_loss'
) -> None:
    """Raise ConfigError for options that do not exist or fit."""
    if num_classes is not None and num_classes < 1:
        raise ConfigError(f'{owner}: num_classes must be positive or None, got {num_classes}.')
    # Between 0 and 1 the gradient is infinite where the student equals the teacher.
    if beta != 0 and not beta >= 1:
        raise ConfigError(f'{owner}: beta must be 0 or at least 1, got {beta}.')
    if not 0 <= score_thr < 1:
        raise ConfigError(f'{owner}: score_thr must be a probability below 1, got {score_thr}.')
    if images not in get_args(Images):
        raise ConfigError(f"{owner}: images must be 'mean' or 'sum', got '{images}'.")


@MODELS.register_module()
class QualityFocalLoss(nn.Module):
    """Module form of :func:`quality_focal_loss`; compares two heads, unlike mmdet's class of this name.

    Args:
        num_classes: Classes per box; ``None``: every channel is a class.
        beta: How much near misses are spared.
        score_thr: Probability above which the teacher counts as having found something.
        images: ``'mean'``, or ``'sum'`` as released.
    """

    def __init__(
        self, num_classes: int | None = None, *, beta: float = 2.0, score_thr: float = 0.1, images: Images = 'mean'
    ) -> None:
        super().__init__()
        check_quality_focal(num_classes, beta, score_thr, images)
        self.num_classes = num_classes
        self.beta = beta
        self.score_thr = score_thr
        self.images: Images = images

    def forward(self, student: Features, teacher: Features) -> Tensor:
        """See :func:`quality_focal_loss`."""
        return quality_focal_loss(
            student,
            teacher,
            num_classes=self.num_classes,
            beta=self.beta,
            score_thr=self.score_thr,
            images=self.images,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'num_classes={self.num_classes}, beta={self.beta}, score_thr={self.score_thr}, images={self.images!r}'

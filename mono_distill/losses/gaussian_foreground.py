"""Squared feature distance weighted by Gaussians at the objects (BEVDistill, ICLR 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.losses.masked import mean_over_ranks, require_shape
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


def gaussian_foreground_loss(
    student: Features, teacher: Features, mask: Tensor | Sequence[Tensor], *, per_channel_mean: bool = False
) -> Tensor:
    r"""Squared distance of BEV features, weighted by a map that is 1 at object centres and falls off around them.

    .. math:: L = \sum_\ell \frac{\sum_{b,h,w} M_\ell \sum_c (S_\ell - T_\ell)^2}{\sum_{b,h,w} M_\ell}

    Channels are summed, so that the weight depends on their number: officially 0.01 for 256 channels, to be given as
    the weight of the loss. Without objects (:math:`M = 0`) the loss is 0. Under distributed training
    :math:`\sum M` is that of the global batch.

    Officially :math:`M` is the maximum over the objects of the frame of CenterNet's Gaussian
    (:func:`mono_distill.targets.bev_gaussian_mask`; ``bev_distiller.py`` lines 286-331). Line 330 multiplies
    ``(B, C, H, W)`` by ``(B, H, W)``, which is right for one frame per device only; here every frame has its own mask.
    With its auxiliary head (``center_aux_loss``) both maps first pass a 3x3 convolution of a heatmap head, the
    student's trained and the teacher's own: tap those. Any other weights can be given, e.g. the largest class of a
    teacher's heatmap.

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps.
        teacher: The same shapes; receives no gradient.
        mask: ``(B, H, W)`` weights in [0, 1], or a sequence of them, one per level.
        per_channel_mean: Average the channels instead, so that the weight of the loss does not depend on their number.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: Student, teacher and mask do not fit.

    Example:
        >>> mask = torch.tensor([[[1.0, 0.5]]])
        >>> gaussian_foreground_loss(3 * torch.ones(1, 4, 1, 2), torch.ones(1, 4, 1, 2), mask)
        tensor(16.)
    """
    pairs = paired_levels(student, teacher, loss='gaussian_foreground_loss')
    masks = [mask] if isinstance(mask, Tensor) else list(mask)
    if len(masks) != len(pairs):
        raise ShapeError(f'gaussian_foreground_loss: {len(pairs)} levels but {len(masks)} masks; give one per level.')
    with full_precision(pairs[0][0]):
        sums, weights = [], []
        for (s, t), m in zip(pairs, masks, strict=True):
            require_shape(m, (s.shape[0], *s.shape[2:]), loss='gaussian_foreground_loss', name='mask')
            m = m.detach().to(s.dtype)
            distance = (s - t).square()
            distance = distance.mean(1) if per_channel_mean else distance.sum(1)
            sums.append((distance * m).sum())
            weights.append(m.sum())
        totals = mean_over_ranks(torch.stack(weights))
        return (torch.stack(sums) / torch.where(totals == 0, 1.0, totals)).sum()


@MODELS.register_module()
class GaussianForegroundLoss(nn.Module):
    """Module form of :func:`gaussian_foreground_loss`.

    Args:
        per_channel_mean: Average the channels instead of summing them.
    """

    def __init__(self, *, per_channel_mean: bool = False) -> None:
        super().__init__()
        self.per_channel_mean = per_channel_mean

    def forward(self, student: Features, teacher: Features, mask: Tensor | Sequence[Tensor]) -> Tensor:
        """See :func:`gaussian_foreground_loss`."""
        return gaussian_foreground_loss(student, teacher, mask, per_channel_mean=self.per_channel_mean)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'per_channel_mean={self.per_channel_mean}'

"""Squared feature distance weighted by Gaussians at the objects (BEVDistill, ICLR 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.losses.weighted_squares import level_masks, weighted_square_means
from mono_distill.registry import MODELS


def gaussian_foreground_loss(student: Features, teacher: Features, mask: Tensor | Sequence[Tensor]) -> Tensor:
    r"""Squared distance of BEV features, weighted by a map that is 1 at object centres and falls off around them.

    .. math:: L = \sum_\ell \frac{\sum_{b,h,w} M_\ell \sum_c (S_\ell - T_\ell)^2}{\sum_{b,h,w} M_\ell}

    Channels are summed, so that the weight depends on their number: officially 0.01 for 256 channels, to be given as
    the weight of the loss. It is their number times :func:`mono_distill.losses.feature_mse_loss` with the same mask;
    take that one where the weight shall not depend on it. Without objects (:math:`M = 0`) the loss is 0. Under
    distributed training :math:`\sum M` is that of the global batch.

    Officially :math:`M` is the maximum over the objects of the frame of CenterNet's Gaussian
    (:func:`mono_distill.targets.bev_gaussian_mask`; ``bev_distiller.py`` lines 286-331). Line 330 multiplies
    ``(B, C, H, W)`` by ``(B, H, W)``, which is right for one frame per device only; here every frame has its own mask.
    With its auxiliary head (``center_aux_loss``) both maps first pass a 3x3 convolution of a heatmap head, the
    student's trained and the teacher's own: tap those. Any other weights can be given, e.g. the largest class of a
    teacher's heatmap.

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps.
        teacher: The same shapes; receives no gradient.
        mask: ``(B, H, W)`` weights in [0, 1], or a sequence of them, one per level. Where it is 0 the teacher may
            hold anything.

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
    masks = level_masks(mask, pairs, loss='gaussian_foreground_loss')
    with full_precision(pairs[0][0]):
        means = weighted_square_means(pairs, masks)
        return torch.stack([mean * s.shape[1] for mean, (s, _) in zip(means, pairs, strict=True)]).sum()


@MODELS.register_module()
class GaussianForegroundLoss(nn.Module):
    """Module form of :func:`gaussian_foreground_loss`."""

    def forward(self, student: Features, teacher: Features, mask: Tensor | Sequence[Tensor]) -> Tensor:
        """See :func:`gaussian_foreground_loss`."""
        return gaussian_foreground_loss(student, teacher, mask)

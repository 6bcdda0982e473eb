"""Pearson correlation of feature channels (PKD, NeurIPS 2022)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

Statistics = Literal['batch', 'image']


def pearson_loss(
    student: Features, teacher: Features, *, statistics: Statistics = 'batch', unbiased: bool = False
) -> Tensor:
    r"""Half the squared distance of channels that are normalised to zero mean and unit variance.

    With the mean :math:`\mu_c` and standard deviation :math:`\sigma_c` of channel c over all places of the batch,

    .. math:: L = \sum_\ell \operatorname{mean}\, \tfrac{1}{2} (\hat S_\ell - \hat T_\ell)^2
        = \sum_\ell \operatorname{mean}_c (1 - r_{\ell c}), \qquad \hat F = (F - \mu_c) / \sigma_c

    where :math:`r_c` is Pearson's correlation of the channel in student and teacher. Scale and offset of a channel do
    not matter, on either side. A constant channel is normalised to zeros: it costs a half if the other side is not
    constant, nothing if it is, and receives no gradient.

    The paper is `PKD: General Distillation Framework for Object Detectors via Pearson Correlation Coefficient
    <https://arxiv.org/abs/2207.02039>`_. The official code (``mmrazor/models/losses/pkd_loss.py`` of
    OpenMMLab's MMRazor) uses the unbiased deviation, plus 1e-6, which makes the loss (n - 1) / n times as large for n
    places per channel; it resizes levels of different size, which here is an error. MonoSKD's released Spearman loss
    correlates whole maps instead, see :func:`mono_distill.losses.spearman_loss`.

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps, fine to coarse.
        teacher: The same shapes; receives no gradient.
        statistics: ``'batch'``: one mean and deviation per channel over the (per-device) batch, as in the paper.
            ``'image'``: per channel and image, so that the loss does not depend on how a batch is split over devices.
        unbiased: Whether the variance divides by n - 1, as officially.

    Returns:
        0-dim tensor in ``[0, 2 * levels]``.

    Raises:
        ShapeError: Student and teacher differ in levels or shapes.
        ConfigError: ``statistics`` is unknown.

    Example:
        >>> features = torch.arange(24.0).reshape(1, 2, 3, 4)
        >>> pearson_loss(features.flip(3), features)
        tensor(0.2098)
        >>> bool(pearson_loss(2 * features + 5, features) < 1e-6)
        True
    """
    _check_statistics(statistics)
    pairs = paired_levels(student, teacher, loss='pearson_loss')
    with full_precision(pairs[0][0]):
        distances = []
        for s, t in pairs:
            if statistics == 'image':
                s, t = s.flatten(0, 1).unsqueeze(0), t.flatten(0, 1).unsqueeze(0)
            places = s.numel() // max(s.shape[1], 1)
            factor = (places - 1) / places if unbiased else 1.0
            distances.append(nn.functional.mse_loss(_normalised(s, places), _normalised(t, places)) * factor / 2)
        return torch.stack(distances).sum()


def _normalised(features: Tensor, places: int) -> Tensor:
    """Shift and scale the channels of ``(B, C, H, W)`` to zero mean and unit variance; constant ones to zero."""
    if places == 1:
        return features * 0
    low, high = features.detach().amin((0, 2, 3)), features.detach().amax((0, 2, 3))
    # A channel that varies by no more than the rounding error of its numbers is constant.
    constant = high - low <= 8 * torch.finfo(features.dtype).eps * torch.maximum(high.abs(), low.abs())
    # Batch normalisation is this in one fused pass, and one for the gradient. Its epsilon only keeps the scale of a
    # constant channel finite, which the weight then makes zero.
    weight = torch.where(constant, 0.0, 1.0).to(features.dtype)
    return nn.functional.batch_norm(features, None, None, weight, training=True, eps=1e-30)


def _check_statistics(statistics: str) -> None:
    if statistics not in get_args(Statistics):
        raise ConfigError(f"pearson_loss: statistics must be 'batch' or 'image', got '{statistics}'.")


@MODELS.register_module()
class PearsonLoss(nn.Module):
    """Module form of :func:`pearson_loss`.

    Args:
        statistics: ``'batch'`` (paper) or ``'image'``.
        unbiased: Whether the variance divides by n - 1, as officially.
    """

    def __init__(self, statistics: Statistics = 'batch', *, unbiased: bool = False) -> None:
        super().__init__()
        _check_statistics(statistics)
        self.statistics: Statistics = statistics
        self.unbiased = unbiased

    def forward(self, student: Features, teacher: Features) -> Tensor:
        """See :func:`pearson_loss`."""
        return pearson_loss(student, teacher, statistics=self.statistics, unbiased=self.unbiased)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'statistics={self.statistics!r}, unbiased={self.unbiased}'

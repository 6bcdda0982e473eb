"""Mean squared distance of feature maps (CMKD, ECCV 2022; IMD and CMRD of MonoTAKD, CVPR 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.losses.feature_scale import Scale, Statistics, check_scale, rescale_features
from mono_distill.losses.weighted_squares import Levels, level_masks, weighted_square_means
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

Compare = Literal['features', 'channel_mean']


def feature_mse_loss(
    student: Features,
    teacher: Features,
    mask: Tensor | Sequence[Tensor] | None = None,
    *,
    compare: Compare = 'features',
    normalize: Scale | None = None,
    statistics: Statistics = 'image',
    empty_weight: float | None = None,
) -> Tensor:
    r"""Squared distance of features, averaged over images, channels and places.

    .. math:: L = \sum_\ell \frac{\sum_{b,h,w} M_\ell\, \operatorname{mean}_c (\phi(S_\ell) - \phi(T_\ell))^2}
        {\sum_{b,h,w} M_\ell}

    with :math:`\phi` the identity and :math:`M = 1` unless options say otherwise. The published uses are:

    * **CMKD**, feature distillation: student and LiDAR map before the 2D backbone, weight 32. Its alternative SUM mode
      compares channel means over their own mean: ``compare='channel_mean', normalize='mean', statistics='batch'``.
    * **IMD** of MonoTAKD, :math:`\operatorname{MSE}(F_{vis}, F_A)`: the student's visual map and the teaching
      assistant's. In the released code (``pcdet/models/detectors/cmkd_TAKD.py``, ``normalize_``) both maps are first
      scaled to [0, 1] by one minimum and maximum of the batch each, ``normalize='minmax', statistics='batch'``; it
      also detaches both, so the released term has this value and no gradient. Here it has one; weight 0 is what the
      release trained with. Before November 2024 that repository compared the maps as they are, as in the paper.
    * **CMRD** of MonoTAKD, :math:`\operatorname{MSE}(\hat F_{spa}, F_{res})`: the student's spatial map behind its
      alignment module and :func:`mono_distill.targets.residual_target`.

    The paper adds IMD and CMRD with weight 1; the release has 1 and 0.2; the same repository in 2023 had CMKD's 32 in
    front of both (32 and 6.4), with the same weights of the head's terms.

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps.
        teacher: The same shapes; receives no gradient.
        mask: Weights ``(B, H, W)`` of the places (bool or not negative), or a sequence of them, one per level;
            ``None`` for all alike. Where it is 0 the teacher may hold anything (anything finite with
            ``normalize``, whose statistics read it). Without any weight the loss is 0.
            Under distributed training the weights are summed over all processes.
        compare: ``'features'``, or ``'channel_mean'``: both maps averaged over channels first.
        normalize: How both maps are brought to one scale before they are compared, each by its own statistics, mask
            or not: :func:`mono_distill.losses.feature_scale.rescale_features`.
        statistics: Whether these are of the ``'image'`` or of the ``'batch'`` of this process.
        empty_weight: Weight of the places at which the teacher is 0 in every channel (a LiDAR map is mostly empty), on
            top of the mask; officially 0.05 (``use_nonzero_mask``, off in the released config). ``None`` for 1.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: Student, teacher and mask do not fit.
        ConfigError: An option is unknown or negative.

    Example:
        >>> teacher = torch.ones(1, 4, 2, 2)
        >>> feature_mse_loss(3 * teacher, teacher)
        tensor(4.)
        >>> feature_mse_loss(3 * teacher, teacher, compare='channel_mean', normalize='mean')
        tensor(0.)
    """
    _check_options(compare, normalize, statistics, empty_weight)
    pairs = paired_levels(student, teacher, loss='feature_mse_loss')
    masks = None if mask is None else level_masks(mask, pairs, loss='feature_mse_loss')
    with full_precision(pairs[0][0]):
        weights = masks if empty_weight is None else _with_empty_places(pairs, masks, empty_weight)
        compared = []
        for s, t in pairs:
            if compare == 'channel_mean':
                s, t = s.mean(1, keepdim=True), t.mean(1, keepdim=True)
            compared.append((rescale_features(s, normalize, statistics), rescale_features(t, normalize, statistics)))
        return weighted_square_means(compared, weights).sum()


def _with_empty_places(pairs: Levels, masks: Sequence[Tensor] | None, empty_weight: float) -> list[Tensor]:
    """Weigh the places at which the teacher is 0 in every channel by ``empty_weight``, on top of the masks."""
    weights = [torch.where(t.abs().amax(1) == 0, empty_weight, 1.0).to(t.dtype) for _, t in pairs]
    return weights if masks is None else [weight * m for weight, m in zip(weights, masks, strict=True)]


def _check_options(compare: str, normalize: str | None, statistics: str, empty_weight: float | None) -> None:
    """Raise ConfigError for options that do not exist."""
    if compare not in get_args(Compare):
        raise ConfigError(f"feature_mse_loss: compare must be 'features' or 'channel_mean', got '{compare}'.")
    check_scale(normalize, statistics, owner='feature_mse_loss')
    if empty_weight is not None and not empty_weight >= 0:
        raise ConfigError(f'feature_mse_loss: empty_weight must be None or not negative, got {empty_weight}.')


@MODELS.register_module()
class FeatureMSELoss(nn.Module):
    """Module form of :func:`feature_mse_loss`: CMKD's feature term, MonoTAKD's IMD and CMRD.

    Args:
        compare: ``'features'``, or ``'channel_mean'`` for CMKD's SUM mode.
        normalize: ``None``, ``'minmax'`` (MonoTAKD as released), ``'mean'`` (CMKD's SUM mode) or ``'standard'``.
        statistics: ``'image'``, or ``'batch'`` as in both official codes.
        empty_weight: Weight of places at which the teacher is empty; ``None`` for 1.
    """

    def __init__(
        self,
        *,
        compare: Compare = 'features',
        normalize: Scale | None = None,
        statistics: Statistics = 'image',
        empty_weight: float | None = None,
    ) -> None:
        super().__init__()
        _check_options(compare, normalize, statistics, empty_weight)
        self.compare: Compare = compare
        self.normalize: Scale | None = normalize
        self.statistics: Statistics = statistics
        self.empty_weight = empty_weight

    def forward(self, student: Features, teacher: Features, mask: Tensor | Sequence[Tensor] | None = None) -> Tensor:
        """See :func:`feature_mse_loss`."""
        return feature_mse_loss(
            student,
            teacher,
            mask,
            compare=self.compare,
            normalize=self.normalize,
            statistics=self.statistics,
            empty_weight=self.empty_weight,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'compare={self.compare!r}, normalize={self.normalize!r}, statistics={self.statistics!r}, '
            f'empty_weight={self.empty_weight}'
        )

"""Squared feature distance by region of the bird's-eye view, with attention (DistillBEV, ICCV 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

Attention = Literal['teacher_student', 'teacher', 'none']
ChannelAttention = Literal['none', 'false_positive', 'all']
# The released run from CenterPoint to BEVDepth4D (scripts/teacher_to_bevdepth4d/centerpoint2bevdepth.sh).
REGION_WEIGHTS = {'foreground': 6e-3, 'background': 4e-2, 'false_positive': 6e-2}
_SOFTNESS = 0.5


def region_decomposed_loss(
    student: Features,
    teacher: Features,
    regions: Mapping[str, Tensor],
    *,
    region_weights: Mapping[str, float] | None = None,
    attention: Attention = 'teacher_student',
    channel_attention: ChannelAttention = 'none',
) -> Tensor:
    r"""Squared distance of BEV features, every region with its own weight and every cell with its scale.

    .. math:: L = \sum_\ell \frac{1}{B} \sum_r w_r \sum_{b,h,w} R_r\, A_\ell \sum_c (S_\ell - T_\ell)^2

    :math:`R_r` are the weight maps of the regions (:func:`mono_distill.targets.bev_regions`), in which large and small
    boxes, and background and objects, count alike. The attention

    .. math:: A(F) = H W \cdot \operatorname{softmax}_{hw}\big(\operatorname{mean}_c |F| / 0.5\big)

    is that of the teacher, or the mean of the teacher's and the student's. It averages to 1 and is a constant for the
    gradient. Channels and cells are summed, so the weights are small.

    Official code: ``mmdet3d/models/detectors/bevdet_distill.py`` lines 1084-1108 and 1252-1287. There the loss of a
    level is divided by the images of one device, as here. It has an attention over channels too, :math:`C \cdot
    \operatorname{softmax}_c(\operatorname{mean}_{hw} |F| / 0.5)`, off in the released run, but multiplied to the term
    of false positives all the same: ``channel_attention='false_positive'``. The released run also adds
    :func:`mono_distill.losses.channel_mean_l1_loss` with weight 2.5e-3, and uses false positives on the level of the
    head only: make one loss per group of levels then.

    Args:
        student: Map ``(B, C, H, W)``, after its adapter, or sequence of maps of one resolution.
        teacher: The same shapes; receives no gradient.
        regions: Name to weights ``(B, H, W)``, used for every level.
        region_weights: Name to :math:`w_r`; regions that it does not name do not count. By default the released
            ``foreground`` 6e-3, ``background`` 4e-2, ``false_positive`` 6e-2.
        attention: ``'teacher_student'`` (released), ``'teacher'`` or ``'none'``.
        channel_attention: Whether channels are weighted in ``'all'`` regions, in that named ``'false_positive'``
            (released) or in ``'none'``.

    Returns:
        0-dim tensor; 0 where no region has a cell.

    Raises:
        ShapeError: Student, teacher and regions do not fit.
        ConfigError: A region is missing or an option does not exist.

    Example:
        >>> regions = dict(foreground=torch.tensor([[[0.5, 0.0]]]))
        >>> student, teacher = torch.zeros(1, 3, 1, 2), torch.ones(1, 3, 1, 2)
        >>> region_decomposed_loss(student, teacher, regions, region_weights=dict(foreground=0.1))
        tensor(0.1500)
    """
    weights = dict(REGION_WEIGHTS if region_weights is None else region_weights)
    _check_options(weights, attention, channel_attention)
    pairs = paired_levels(student, teacher, loss='region_decomposed_loss')
    with full_precision(pairs[0][0]):
        losses = []
        for s, t in pairs:
            shapes = dict.fromkeys(weights, (s.shape[0], *s.shape[2:]))
            maps = dict(zip(weights, require_tensors(regions, shapes, owner='region_decomposed_loss'), strict=True))
            squared = (s - t).square()
            distance = attended = squared.sum(1)
            if channel_attention != 'none':
                attended = (squared * _channel_attention(s, t, attention)).sum(1)
            terms = []
            for name, region in maps.items():
                compared = attended if channel_attention in ('all', name) else distance
                terms.append(weights[name] * region.detach().to(s.dtype) * compared)
            losses.append((torch.stack(terms).sum(0) * _spatial_attention(s, t, attention)).sum() / s.shape[0])
        return torch.stack(losses).sum()


@torch.no_grad()
def _spatial_attention(student: Tensor, teacher: Tensor, attention: str) -> Tensor:
    """Weights of the cells ``(B, H, W)`` with mean 1."""

    def of(features: Tensor) -> Tensor:
        size = features.abs().mean(1)
        return size[0].numel() * (size.flatten(1) / _SOFTNESS).softmax(1).view_as(size)

    if attention == 'none':
        return torch.ones_like(teacher[:, 0])
    return of(teacher) if attention == 'teacher' else (of(teacher) + of(student)) / 2


@torch.no_grad()
def _channel_attention(student: Tensor, teacher: Tensor, attention: str) -> Tensor:
    """Weights of the channels ``(B, C, 1, 1)`` with mean 1; of both sides where the spatial attention is."""

    def of(features: Tensor) -> Tensor:
        return features.shape[1] * (features.abs().mean((2, 3), keepdim=True) / _SOFTNESS).softmax(1)

    return (of(teacher) + of(student)) / 2 if attention == 'teacher_student' else of(teacher)


def _check_options(weights: Mapping[str, float], attention: str, channel_attention: str) -> None:
    if not weights:
        raise ConfigError('region_decomposed_loss: region_weights is empty; name at least one region.')
    if attention not in get_args(Attention):
        raise ConfigError(
            f"region_decomposed_loss: attention must be one of {', '.join(get_args(Attention))}, got '{attention}'."
        )
    if channel_attention not in get_args(ChannelAttention):
        raise ConfigError(
            f'region_decomposed_loss: channel_attention must be one of {", ".join(get_args(ChannelAttention))}, got '
            f"'{channel_attention}'."
        )


@MODELS.register_module()
class RegionDecomposedLoss(nn.Module):
    """Module form of :func:`region_decomposed_loss`.

    Args:
        region_weights: Weight of each region; by default those of the released run.
        attention: ``'teacher_student'``, ``'teacher'`` or ``'none'``.
        channel_attention: ``'none'``, ``'false_positive'`` (released) or ``'all'``.
    """

    def __init__(
        self,
        region_weights: Mapping[str, float] | None = None,
        *,
        attention: Attention = 'teacher_student',
        channel_attention: ChannelAttention = 'none',
    ) -> None:
        super().__init__()
        self.region_weights = dict(REGION_WEIGHTS if region_weights is None else region_weights)
        _check_options(self.region_weights, attention, channel_attention)
        self.attention: Attention = attention
        self.channel_attention: ChannelAttention = channel_attention

    def forward(self, student: Features, teacher: Features, regions: Mapping[str, Tensor]) -> Tensor:
        """See :func:`region_decomposed_loss`."""
        return region_decomposed_loss(
            student,
            teacher,
            regions,
            region_weights=self.region_weights,
            attention=self.attention,
            channel_attention=self.channel_attention,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'region_weights={self.region_weights}, attention={self.attention!r}, '
            f'channel_attention={self.channel_attention!r}'
        )

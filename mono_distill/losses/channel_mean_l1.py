"""Distance of the channel means of BEV features (DistillBEV, ICCV 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


def channel_mean_l1_loss(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Absolute difference of the channel means, summed over the cells.

    .. math:: L = \frac{1}{B} \sum_{b,h,w} \big|\operatorname{mean}_c S - \operatorname{mean}_c T\big|

    DistillBEV (``mmdet3d/models/detectors/bevdet_distill.py`` lines 1252-1287, weight 2.5e-3) passes the student's mean
    through a trained 3x3 convolution first, :class:`mono_distill.adapters.ChannelMeanConv`, whose map of one channel
    is its own mean.

    Args:
        student: Map ``(B, C, H, W)``, or ``(B, 1, H, W)`` if it is a mean already.
        teacher: Map ``(B, C, H, W)``; receives no gradient.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: The maps differ in images or cells.

    Example:
        >>> channel_mean_l1_loss(torch.zeros(2, 1, 3, 4), torch.ones(2, 8, 3, 4))
        tensor(12.)
    """
    wanted = (teacher.shape[0], student.shape[1] if student.dim() == 4 else 0, *teacher.shape[2:])
    if teacher.dim() != 4 or student.shape != wanted or student.shape[1] not in (1, teacher.shape[1]):
        raise ShapeError(
            f'channel_mean_l1_loss: student {tuple(student.shape)} and teacher {tuple(teacher.shape)}; expected maps '
            '(B, C, H, W) of the same images and cells, and of the same channels or one channel of the student.'
        )
    with full_precision(student):
        s, t = as_float32(student).mean(1), as_float32(teacher.detach()).mean(1)
        return torch.nn.functional.l1_loss(s, t, reduction='sum') / student.shape[0]


@MODELS.register_module()
class ChannelMeanL1Loss(nn.Module):
    """Module form of :func:`channel_mean_l1_loss`."""

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """See :func:`channel_mean_l1_loss`."""
        return channel_mean_l1_loss(student, teacher)

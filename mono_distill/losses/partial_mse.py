"""Squared distance that spares what the teacher's activation would cut off (UVTR, NeurIPS 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import global_avg_factors
from mono_distill.losses.padded_pairs import paired_slots
from mono_distill.registry import MODELS


def partial_mse_loss(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    r"""Squared distance of features at points, except where student <= teacher <= 0.

    .. math:: L = \frac{1}{|V|} \sum_{v \in V} \sum_c
        \big[S_{vc} > T_{vc} \ \text{or}\ T_{vc} > 0\big]\, (S_{vc} - T_{vc})^2

    Meant for features before a ReLU: where the teacher is negative, any student below it gives the same activation, so
    nothing is asked of it. Channels are summed, points averaged; under distributed training over the points of all
    processes.

    In UVTR (camera student from LiDAR teacher, "L2C"; ``uvtr_kd_head.py`` lines 200-221 and 426-458) the points are the
    900 predicted query centres of a decoder layer and the features those of the voxel space after its last
    convolution; each of the six layers is such a loss with weight 0.01. All layers concatenated along N, with weight
    0.06, give the same sum. The distance itself is the partial L2 of `A Comprehensive Overhaul of Feature Distillation
    <https://arxiv.org/abs/1904.01866>`_.

    Args:
        student: ``(B, N, C)`` features at N points.
        teacher: The same points; receives no gradient.
        valid: ``(B, N)`` bool, the points that count; ``None`` for all. Invalid slots may hold anything.

    Returns:
        0-dim tensor; 0 without points.

    Raises:
        ShapeError: The shapes do not fit.

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[[-1.0, -1.0, 2.0]]])
        >>> partial_mse_loss(torch.tensor([[[-3.0, 0.0, 0.0]]]), teacher)
        tensor(5.)
    """
    s, t, valid = paired_slots(student, teacher, valid, axes='B, N, C', loss='partial_mse_loss')
    with full_precision(s):
        # Stated as what is skipped: a NaN compares false and is kept, so that it is seen. There the student is compared
        # with itself, in one fused pass.
        skipped = (s <= t) & (t <= 0)
        distance = F.mse_loss(s, torch.where(skipped, s.detach(), t), reduction='sum')
        return distance / global_avg_factors(valid.sum()).to(distance.dtype)


@MODELS.register_module()
class PartialMSELoss(nn.Module):
    """Module form of :func:`partial_mse_loss`."""

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """See :func:`partial_mse_loss`."""
        return partial_mse_loss(student, teacher, valid)

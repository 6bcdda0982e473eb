"""Supervision of a depth distribution by LiDAR (BEVDepth)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mono_distill.losses.masked import as_float32, global_avg_factors
from mono_distill.models.view_transformers.bounds import DepthBins
from mono_distill.models.view_transformers.depth_override import known_depth
from mono_distill.utils.errors import ShapeError


def lidar_depth_loss(logits: Tensor, gt_depth: Tensor, bins: DepthBins) -> Tensor:
    r"""Binary cross entropy of every bin in the cells with LiDAR depth (`BEVDepth <https://arxiv.org/abs/2206.10092>`_,
    section 4.1).

    .. math:: L = \frac{1}{N_{fg}} \sum_{i \in fg} \sum_k
        -\left[ y_{ik} \log p_{ik} + (1 - y_{ik}) \log (1 - p_{ik}) \right]

    with p the softmax over the bins (not a sigmoid of each) and y one in the bin that holds the nearest LiDAR point of
    the cell. Cells without a point in the range do not count; without any the loss is zero. In float32 whatever
    autocast says. The official code divides by the cells of its own process; here the divisor is exact under DDP.

    Args:
        logits: ``(B, N, D, h, w)``.
        gt_depth: ``(B, N, h, w)`` metres, 0 where there is none.
        bins: The D depth bins.

    Returns:
        A 0-dim tensor, not weighted.

    Raises:
        ShapeError: Bins, cameras or cells do not fit.

    Example:
        >>> logits = torch.zeros(1, 1, 2, 1, 2)
        >>> gt_depth = torch.tensor([[[[2.5, 0.0]]]])
        >>> lidar_depth_loss(logits, gt_depth, DepthBins((2.0, 4.0), 2))
        tensor(1.3863)
    """
    expected = (*logits.shape[:2], *logits.shape[3:])
    if logits.dim() != 5 or logits.shape[2] != bins.bins or tuple(gt_depth.shape) != expected:
        raise ShapeError(
            f'depth loss: logits {tuple(logits.shape)} of {bins.bins} bins in {bins.depth_range} m do not fit gt_depth '
            f'{tuple(gt_depth.shape)}, expected (B, N, {bins.bins}, h, w) and (B, N, h, w). The downsample of '
            'mono_distill.LidarDepthTargets and of the view transformer must be the same.'
        )
    with torch.autocast(logits.device.type, enabled=False):
        probability = as_float32(logits).softmax(2)
        target = known_depth(gt_depth, bins).to(probability.dtype)
        seen = target.sum(2) > 0
        entropy = F.binary_cross_entropy(probability, target, reduction='none').sum(2)
        return torch.where(seen, entropy, 0).sum() / global_avg_factors(seen.sum())

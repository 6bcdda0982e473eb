"""Features and relations at the key points of boxes (UniDistill, CVPR 2023)."""

from __future__ import annotations

from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import global_avg_factors, masked_mean
from mono_distill.losses.padded_pairs import paired_slots
from mono_distill.losses.unit_vectors import unit_vectors
from mono_distill.registry import MODELS


def key_point_feature_loss(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    r"""Absolute difference of BEV features at the key points of boxes.

    .. math:: L = \frac{1}{|V|} \sum_{n \in V} \operatorname{mean}_{k,c} |S_{nkc} - T_{nkc}|

    The :math:`K = 9` key points of a box are its corners, the middles of its edges and its centre;
    :class:`mono_distill.adapters.BEVKeyPointSampler` reads a map there. Under distributed training the mean runs over
    the boxes of all processes.

    Official code: ``...camera_exp_distill_lidar.py`` lines 199-245, weight 100 from LiDAR to
    camera, on the features before the BEV encoder. It swaps x and y of the points before it samples, so that it reads
    student and teacher at the mirror image of the box; that is not copied.

    Args:
        student: ``(B, N, K, C)`` features at K points of N boxes.
        teacher: The same points; receives no gradient.
        valid: ``(B, N)`` bool, the boxes; ``None`` for all. Invalid slots may hold anything.

    Returns:
        0-dim tensor; 0 without boxes.

    Raises:
        ShapeError: The shapes do not fit.

    Example:
        >>> import torch
        >>> key_point_feature_loss(torch.zeros(1, 2, 9, 4), torch.full((1, 2, 9, 4), -3.0))
        tensor(3.)
    """
    s, t, valid = paired_slots(student, teacher, valid, axes='B, N, K, C', loss='key_point_feature_loss')
    with full_precision(s):
        boxes = global_avg_factors(valid.sum()).to(s.dtype)
        return masked_mean((s - t).abs().mean((2, 3)), valid, boxes)


def key_point_relation_loss(student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
    r"""Absolute difference of the cosine similarities between the key points of each box.

    .. math:: L = \frac{1}{|V|} \sum_{n \in V} \operatorname{mean}_{k,l} |R(S_n)_{kl} - R(T_n)_{kl}|, \qquad
        R(F)_{kl} = \frac{F_k \cdot F_l}{\|F_k\| \|F_l\|}

    The mean runs over all K x K entries, the diagonal of ones included, as officially
    (``...camera_exp_distill_lidar.py`` lines 248-323, weight 40 from LiDAR to camera, on the
    features behind the BEV encoder). A zero vector, as from a point outside of the map, is similar to nothing. Only
    relations are compared, so student and teacher need no common scale, no adapter and not even the same number of
    channels.

    Args:
        student: ``(B, N, K, C)`` features at K points of N boxes.
        teacher: ``(B, N, K, C')``, the same points; receives no gradient.
        valid: ``(B, N)`` bool, the boxes; ``None`` for all. Invalid slots may hold anything.

    Returns:
        0-dim tensor in [0, 2]; 0 without boxes.

    Raises:
        ShapeError: The shapes do not fit.

    Example:
        >>> import torch
        >>> orthogonal, equal = torch.eye(2).reshape(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
        >>> key_point_relation_loss(orthogonal, 5 * equal)
        tensor(0.5000)
    """
    s, t, valid = paired_slots(
        student, teacher, valid, axes='B, N, K, C', loss='key_point_relation_loss', same_width=False
    )
    with full_precision(s):
        boxes = global_avg_factors(valid.sum()).to(s.dtype)
        distance = (_cosines(s) - _cosines(t)).abs().mean((1, 2)).view_as(valid)
        return masked_mean(distance, valid, boxes)


def _cosines(points: Tensor) -> Tensor:
    """Similarities of the points of each box: ``(B, N, K, C)`` to ``(B N, K, K)``."""
    vectors = unit_vectors(points).flatten(0, 1)
    return vectors @ vectors.transpose(1, 2)


@MODELS.register_module()
class KeyPointFeatureLoss(nn.Module):
    """Module form of :func:`key_point_feature_loss`."""

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """See :func:`key_point_feature_loss`."""
        return key_point_feature_loss(student, teacher, valid)


@MODELS.register_module()
class KeyPointRelationLoss(nn.Module):
    """Module form of :func:`key_point_relation_loss`."""

    def forward(self, student: Tensor, teacher: Tensor, valid: Tensor | None = None) -> Tensor:
        """See :func:`key_point_relation_loss`."""
        return key_point_relation_loss(student, teacher, valid)

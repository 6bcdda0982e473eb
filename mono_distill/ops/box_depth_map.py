"""A depth map painted from 2D boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.ops.box_masks import NegativeIndices
from mono_distill.ops.box_weight_maps import box_weight_maps


def box_depth_map(
    boxes: Tensor,
    depths: Tensor,
    valid: Tensor,
    size: tuple[int, int],
    *,
    negative_indices: NegativeIndices = 'clip',
) -> Tensor:
    """Paint every box with the depth of its object; the nearest object hides the others.

    A box covers all pixels that it touches: columns ``floor(x1)`` up to, not including, ``ceil(x2)``, rows alike,
    clipped to the map. This is the foreground depth of MonoDETR, whose official code
    (``lib/losses/ddn_loss/ddn_loss.py``) sorts the objects from far to near and paints one after the other.

    Args:
        boxes: ``(B, N, 4)`` xyxy in pixels of the map.
        depths: ``(B, N)``, metres, positive where ``valid``.
        valid: ``(B, N)`` bool, the boxes to paint; the others may hold anything.
        size: Map ``(height, width)``.
        negative_indices: ``'clip'``, or ``'wrap'`` for what the official code does, see
            :func:`mono_distill.ops.box_masks.box_masks`: a box that starts left of or above the map vanishes.

    Returns:
        ``(B, height, width)`` metres, 0 where there is no box.

    Example:
        >>> boxes = torch.tensor([[[0.2, 0.0, 2.5, 1.5], [1.8, 0.0, 4.0, 1.0]]])
        >>> box_depth_map(boxes, torch.tensor([[20.0, 5.0]]), torch.tensor([[True, True]]), (2, 4))
        tensor([[[20.,  5.,  5.,  5.],
                 [20., 20., 20.,  0.]]])
    """
    pixels = torch.cat([boxes[..., :2].floor(), boxes[..., 2:].ceil()], dim=-1)
    pixels = torch.where(valid.unsqueeze(-1), pixels, 0.0)
    # The nearest is the one with the largest negative depth.
    painted, covered = box_weight_maps(
        pixels, torch.where(valid, -depths, 0.0), size, stride=1, overlap='max', negative_indices=negative_indices
    )
    return torch.where(covered, -painted, 0.0)

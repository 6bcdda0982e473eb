"""Non-maximum suppression of axis-aligned boxes, in pure PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.compat.lite_ops.greedy import greedy_selection


@torch.no_grad()
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Suppress boxes that overlap a better one; the form of ``mmcv._ext.nms``.

    Args:
        boxes: (N, 4) boxes (x1, y1, x2, y2).
        scores: (N,) scores.
        iou_threshold: A box goes when its IoU with a kept one is greater than this.
        offset: 0, or 1 where x2 and y2 are the last pixel inside (width is x2 - x1 + 1).

    Returns:
        (kept,) int64 indices, by descending score (ties by index). Boxes without area are kept, as in mmcv.

    Example:
        >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
        >>> nms(boxes, torch.tensor([0.5, 0.9, 0.1]), iou_threshold=0.5, offset=0)
        tensor([1, 2])
    """
    order = scores.sort(descending=True, stable=True).indices
    ranked = boxes[order]
    if ranked.dtype in (torch.float16, torch.bfloat16):
        ranked = ranked.float()
    area = (ranked[:, 2] - ranked[:, 0] + offset) * (ranked[:, 3] - ranked[:, 1] + offset)

    def conflicts(first: Tensor, second: Tensor) -> Tensor:
        a, b = ranked[first][:, None], ranked[second][None]
        extent = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2]) + offset
        shared = extent.clamp(min=0).prod(dim=-1)
        return shared / (area[first][:, None] + area[second][None] - shared) > iou_threshold

    return order[greedy_selection(len(order), conflicts, order.device)]

"""Non-maximum suppression of rotated boxes, in pure PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.compat.lite_ops.box_iou_rotated import rotated_overlaps
from mono_distill.compat.lite_ops.greedy import greedy_selection


@torch.no_grad()
def nms_rotated(
    dets: Tensor,
    scores: Tensor,
    order: Tensor,
    dets_sorted: Tensor,
    labels: Tensor,
    iou_threshold: float,
    multi_label: int,
) -> Tensor:
    """Suppress rotated boxes that overlap a better one; the form of ``mmcv._ext.nms_rotated``.

    Where mmcv's two compiled forms differ this follows its documentation and its CUDA form: a box goes when its IoU is
    greater than the threshold (the CPU form also drops equality, so a threshold of 0 keeps one box of all). Like both
    of them it pays no attention to labels.

    Args:
        dets: (N, 5) boxes (x_ctr, y_ctr, w, h, angle in radians); further columns are ignored.
        scores: (N,) scores.
        order: (N,) indices by descending score.
        dets_sorted: (N, 5) boxes in that order.
        labels: Not used.
        iou_threshold: A box goes when its IoU with a kept one is greater than this.
        multi_label: Not used.

    Returns:
        (kept,) int64 indices into ``dets``, by descending score.
    """

    def conflicts(first: Tensor, second: Tensor) -> Tensor:
        return rotated_overlaps(dets_sorted[first], dets_sorted[second]) > iou_threshold

    return order[greedy_selection(len(order), conflicts, order.device)]

"""Which anchors learn which objects, for whole batches at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_HEADING = 6


class AnchorTargets(NamedTuple):
    """Assignment of A anchors per sample, in the order place, class, rotation.

    Attributes:
        labels: ``(B, A)`` int64; the number of classes where no object is.
        counted: ``(B, A)`` bool, False between the thresholds, where the classification is not asked.
        positive: ``(B, A)`` bool.
        boxes: ``(B, A, 7)`` the object of each positive anchor; any box for the others.
    """

    labels: Tensor
    counted: Tensor
    positive: Tensor
    boxes: Tensor


def anchor_targets(
    anchors: Tensor, boxes: Tensor, labels: Tensor, *, thresholds: Sequence[tuple[float, float]]
) -> AnchorTargets:
    r"""Assign objects to anchors as SECOND does: per class, by the overlap of boxes turned to the nearest axis.

    An anchor is positive for the object with which its IoU is largest if that is at least the upper threshold of its
    class, and negative if it is below the lower one. Every object also gets the anchors with which its IoU is largest,
    if that is at least the lower threshold; of two such objects the later. This is mmdet3d's ``Max3DIoUAssigner`` with
    ``min_pos_iou`` equal to ``neg_iou_thr`` and ``assign_per_class``, without waiting for the device.

    Args:
        anchors: ``(P, K, R, 7)`` for P places, K classes and R rotations; metres, LiDAR frame.
        boxes: ``(B, M, 7)`` objects, padded.
        labels: ``(B, M)`` classes 0 to K - 1; -1 for padding.
        thresholds: IoU from which an anchor is positive, and below which it is negative, of every class.

    Returns:
        See :class:`AnchorTargets`.

    Example:
        >>> anchors = torch.tensor([[0.0, 0, 0, 4, 2, 1, 0], [3.0, 0, 0, 4, 2, 1, 0], [9.0, 0, 0, 4, 2, 1, 0]])
        >>> targets = anchor_targets(
        ...     anchors.view(3, 1, 1, 7), anchors[None, :1], torch.zeros(1, 1).long(), thresholds=[(0.6, 0.1)]
        ... )
        >>> targets.positive.tolist(), targets.counted.tolist()
        ([[True, False, False]], [[True, False, True]])
    """
    places, classes, rotations = anchors.shape[:3]
    batch = boxes.shape[0]
    parts = []
    for label, (upper, lower) in enumerate(thresholds):
        overlaps = nearest_overlaps(anchors[:, label].reshape(-1, 7), boxes)
        present = (labels == label).unsqueeze(1)
        # Below every threshold: objects of other classes are not there.
        overlaps = torch.where(present, overlaps, -1.0)
        best, index = overlaps.max(2)
        top = overlaps.amax(1, keepdim=True)
        forced = (overlaps == top) & (top >= lower) & present
        number = torch.arange(boxes.shape[1], device=boxes.device)
        last = torch.where(forced, number, -1).amax(2)
        positive = (best >= upper) | (last >= 0)
        index = torch.where(last >= 0, last, index)
        matched = boxes.gather(1, index.unsqueeze(2).expand(-1, -1, 7))
        shape = (batch, places, 1, rotations)
        parts.append(
            (
                torch.where(positive, label, classes).view(shape),
                (positive | (best < lower)).view(shape),
                positive.view(shape),
                matched.view(*shape, 7),
            )
        )
    joined = [torch.cat(part, 2).flatten(1, 3) for part in zip(*parts, strict=True)]
    return AnchorTargets(*joined)


def nearest_overlaps(anchors: Tensor, boxes: Tensor) -> Tensor:
    """IoU in the plane, every box turned to the nearest axis.

    Args:
        anchors: ``(N, 7)``.
        boxes: ``(B, M, 7)``.

    Returns:
        ``(B, N, M)``.
    """
    first, second = _upright(anchors)[None, :, None], _upright(boxes)[:, None]
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(corners[..., 2:] - corners[..., :2]).prod(-1) for corners in (first, second)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-6)


def padded_objects(instances: Sequence[Any], device: torch.device) -> tuple[Tensor, Tensor]:
    """Stack the objects of samples.

    Args:
        instances: Per sample ``bboxes_3d`` (boxes of mmdet3d, or a tensor) and ``labels_3d``.
        device: Where to put them.

    Returns:
        Boxes ``(B, M, 7)`` and labels ``(B, M)`` with at least one row; rows beyond a sample's objects are cubes of 1 m
        with the label -1.
    """
    rows = max(1, *(len(instance.labels_3d) for instance in instances))
    boxes, labels = [], []
    for instance in instances:
        found = getattr(instance.bboxes_3d, 'tensor', instance.bboxes_3d)[:, :7].to(device)
        missing = rows - len(found)
        filler = found.new_tensor([0.0, 0, 0, 1, 1, 1, 0]).expand(missing, 7)
        boxes.append(torch.cat([found, filler]))
        labels.append(F.pad(instance.labels_3d.to(device), (0, missing), value=-1))
    return torch.stack(boxes), torch.stack(labels)


def _upright(boxes: Tensor) -> Tensor:
    """Corners ``(..., 4)`` of each box turned to the nearest axis, in the plane."""
    heading = boxes[..., _HEADING]
    angle = (heading - math.pi * torch.floor(heading / math.pi + 0.5)).abs()
    sizes = torch.where((angle > math.pi / 4).unsqueeze(-1), boxes[..., 3:5].flip(-1), boxes[..., 3:5])
    return torch.cat([boxes[..., :2] - sizes / 2, boxes[..., :2] + sizes / 2], -1)

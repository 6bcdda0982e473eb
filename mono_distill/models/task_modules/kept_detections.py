"""Detections of a batch as one result per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmdet3d.structures import CameraInstance3DBoxes
from mmengine.structures import InstanceData
from torch import Tensor


def kept_detections(keep: Tensor, boxes_3d: Tensor, **fields: Tensor) -> list[InstanceData]:
    """Collect the detections to keep, image by image.

    Every field is selected once for the whole batch and then split, which costs a fraction of indexing each field of
    each image.

    Args:
        keep: (B, K) bool.
        boxes_3d: (B, K, 7) x, y_bottom, z, l, h, w, yaw in the camera frame.
        fields: Further fields, (B, K, ...).

    Returns:
        Per image ``bboxes_3d`` (camera boxes) and ``fields`` of what is kept, in the given order.

    Example:
        >>> import torch
        >>> keep = torch.tensor([[True, False], [True, True]])
        >>> results = kept_detections(keep, torch.zeros(2, 2, 7), scores_3d=torch.tensor([[0.9, 0.1], [0.8, 0.7]]))
        >>> [result.scores_3d.tolist() for result in results]
        [[0.8999999761581421], [0.800000011920929, 0.699999988079071]]
    """
    counts = keep.sum(1).tolist()
    index = keep.flatten().nonzero().squeeze(1)
    parts: dict[str, Sequence[Any]] = {
        name: value.flatten(0, 1).index_select(0, index).split(counts)
        for name, value in dict(bboxes_3d=boxes_3d, **fields).items()
    }
    parts['bboxes_3d'] = [CameraInstance3DBoxes(boxes) for boxes in parts['bboxes_3d']]
    results = [InstanceData() for _ in counts]
    for name, values in parts.items():
        for result, value in zip(results, values, strict=True):
            # Plain assignment would compare the length with that of the fields before, at several times the cost.
            result.set_field(value, name)
    return results

"""Annotated 3D objects of a batch in padded tensors, in the code that DETR3D-type heads regress."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mono_distill.ops.box_code import encode_box_code
from mono_distill.ops.pad_slots import pad_slots
from mono_distill.utils.errors import DataError


def gt_box_codes(data_samples: Sequence[Any]) -> dict[str, Tensor]:
    """Pad the annotated boxes of a batch.

    Boxes of mmdet3d (``LiDARInstance3DBoxes``) are given by their gravity centre here. An object that lacks a velocity
    (7 entries, or NaN) has NaN there. Objects of a negative label (those that ``ObjectNameFilter`` would drop) do not
    count.

    Args:
        data_samples: Samples with ``gt_instances_3d`` of ``bboxes_3d`` and ``labels_3d``.

    Returns:
        For B images and N >= 1 slots ``codes`` (B, N, 10) of :func:`mono_distill.ops.encode_box_code` in metres,
        ``boxes`` (B, N, 9) gravity centre, dx, dy, dz, yaw, velocity (empty slots: zeros), ``labels`` (B, N) int64 and
        ``mask`` (B, N) bool.

    Raises:
        DataError: A sample has no annotations.
    """
    boxes, labels = [], []
    for sample in data_samples:
        instances = getattr(sample, 'gt_instances_3d', None)
        if instances is None or 'bboxes_3d' not in instances or 'labels_3d' not in instances:
            raise DataError(
                f'gt_box_codes: sample {sample.metainfo.get("token", "?")} has no gt_instances_3d with bboxes_3d and '
                'labels_3d; add LoadAnnotations3D to the training pipeline and pack what it loads.'
            )
        boxes.append(_with_velocity(instances.bboxes_3d))
        labels.append(instances.labels_3d)
    padded_labels, padded_boxes = pad_slots(labels, -1), pad_slots(boxes, 0.0)
    mask = padded_labels >= 0
    # Empty slots hold zeros, whose code is finite.
    padded_boxes = torch.where(mask.unsqueeze(-1), padded_boxes, 0.0)
    return dict(codes=encode_box_code(padded_boxes), boxes=padded_boxes, labels=padded_labels.clamp(min=0), mask=mask)


def _with_velocity(boxes: Any) -> Tensor:
    """Gravity centre, sizes, yaw and velocity (n, 9) of mmdet3d's boxes."""
    full: Tensor = torch.cat([boxes.gravity_center, boxes.tensor[:, 3:9]], dim=1).float()
    return full if full.shape[1] == 9 else nn.functional.pad(full, (0, 9 - full.shape[1]), value=float('nan'))

"""Annotated boxes of an info as the pipeline gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet3d.structures import LiDARInstance3DBoxes
from numpy.typing import NDArray


def is_valid(instance: Mapping[str, Any], *, use_valid_flag: bool) -> bool:
    """Whether a box was measured at all: by LiDAR or radar, or without ``use_valid_flag`` by the LiDAR alone."""
    points = instance.get('num_lidar_pts', 1)
    return bool(instance.get('bbox_3d_isvalid', points > 0) if use_valid_flag else points > 0)


def parse_instances(
    instances: Sequence[Mapping[str, Any]], label_of_category: Mapping[int, int], *, use_valid_flag: bool = True
) -> dict[str, Any]:
    """Collect the boxes of one key-frame that were measured and whose category has a label.

    Args:
        instances: ``instances`` of an info.
        label_of_category: Number in the file to class label.
        use_valid_flag: See :func:`is_valid`.

    Returns:
        ``gt_bboxes_3d``, N ``LiDARInstance3DBoxes`` with nine numbers each (x, y, z of the bottom's centre, length,
        width, height, yaw, velocity along x and y; an unknown velocity is 0), ``gt_labels_3d`` (N,) int64 and
        ``num_lidar_pts`` (N,) int64.
    """
    kept = [
        item
        for item in instances
        if item['bbox_label_3d'] in label_of_category and is_valid(item, use_valid_flag=use_valid_flag)
    ]
    boxes = np.zeros((len(kept), 9), dtype=np.float32)
    for row, item in zip(boxes, kept, strict=True):
        row[:7] = item['bbox_3d']
        row[7:] = item['velocity']
    boxes[:, 7:][~np.isfinite(boxes[:, 7:]).all(axis=1)] = 0
    return {
        'gt_bboxes_3d': LiDARInstance3DBoxes(boxes, box_dim=9, origin=(0.5, 0.5, 0.5)),
        'gt_labels_3d': _integers(label_of_category[item['bbox_label_3d']] for item in kept),
        'num_lidar_pts': _integers(item.get('num_lidar_pts', -1) for item in kept),
    }


def _integers(values: Any) -> NDArray[np.int64]:
    return np.array(list(values), dtype=np.int64)

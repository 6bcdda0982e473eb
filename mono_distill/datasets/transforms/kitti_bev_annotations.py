"""Annotated objects of a KITTI frame as boxes of the LiDAR frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet3d.structures import Box3DMode, CameraInstance3DBoxes, LiDARInstance3DBoxes

from mono_distill.datasets.transforms.annotations import no_objects
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import DataError


@TRANSFORMS.register_module()
class LoadKittiBEVAnnotations(BaseTransform):
    """Unpack ``ann_info`` into ``gt_bboxes_3d`` (``LiDARInstance3DBoxes``) and ``gt_labels_3d``.

    The bottom centre goes through ``lidar2cam`` backwards. The heading is turned as mmdet3d does it, yaw = -ry - pi/2,
    which takes the vertical axes of both frames for parallel (KITTI's differ by about a degree); mmdet3d and
    :class:`mono_distill.evaluation.KittiMonoMetric` turn predictions back in the same way.

    Keys added: gt_bboxes_3d, gt_labels_3d, labelled (whether there were annotations), box_type_3d, box_mode_3d.

    Args:
        allow_unlabelled: Give a frame without annotations no objects and ``labelled=False`` instead of refusing it.
            The head then leaves it out of the supervised losses, while distillation losses see it.

    Raises:
        DataError: The frame has no annotations and that is not allowed.
    """

    def __init__(self, allow_unlabelled: bool = False) -> None:
        self.allow_unlabelled = allow_unlabelled

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Unpack the annotations."""
        results['labelled'] = 'ann_info' in results
        if not results['labelled'] and not self.allow_unlabelled:
            raise DataError(
                f'frame {results.get("sample_id", "?")} has no annotations; drop LoadKittiBEVAnnotations from the '
                'pipeline of a split without labels, or let the frame be distilled on without '
                '(allow_unlabelled=True)'
            )
        annotations = results['ann_info'] if results['labelled'] else no_objects()
        results['gt_bboxes_3d'] = lidar_boxes(annotations['gt_bboxes_3d'], results['lidar2cam'])
        results['gt_labels_3d'] = annotations['gt_labels_3d'].copy()
        results['box_type_3d'], results['box_mode_3d'] = LiDARInstance3DBoxes, Box3DMode.LIDAR
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(allow_unlabelled={self.allow_unlabelled})'


def lidar_boxes(boxes: Any, lidar2cam: Any) -> LiDARInstance3DBoxes:
    """Turn KITTI's boxes (N, 7) x, y of the bottom, z, l, h, w, ry of the camera frame into LiDAR boxes.

    Args:
        boxes: Array in metres and radians.
        lidar2cam: (4, 4) LiDAR to the rectified camera frame.

    Example:
        >>> import numpy as np
        >>> axes = np.array([[0, -1.0, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
        >>> lidar_boxes(np.array([[1.0, 1.5, 10.0, 4.0, 1.4, 1.6, -np.pi / 2]]), axes).tensor.abs().round(decimals=2)
        tensor([[10.0000,  1.0000,  1.5000,  4.0000,  1.6000,  1.4000,  0.0000]])
    """
    cam2lidar = np.linalg.inv(np.asarray(lidar2cam, dtype=np.float64)).astype(np.float32)
    camera = CameraInstance3DBoxes(np.asarray(boxes, dtype=np.float32).reshape(-1, 7))
    converted: LiDARInstance3DBoxes = camera.convert_to(Box3DMode.LIDAR, cam2lidar)
    return converted

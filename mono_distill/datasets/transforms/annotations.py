"""Annotated objects of a frame, as arrays the other transforms change together."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet3d.structures import Box3DMode, CameraInstance3DBoxes
from numpy.typing import NDArray

from mono_distill.datasets.kitti.projection import project_cam_to_img
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import DataError

# Every per-object key of a sample; transforms that drop objects index all of them.
OBJECT_KEYS = (
    'gt_bboxes_3d',
    'gt_labels_3d',
    'gt_bboxes',
    'gt_alpha',
    'gt_truncated',
    'gt_occluded',
    'gt_difficulty',
    'gt_centers_2d',
    'gt_depths',
    'gt_visual_depth',
)
# Those that transforms derive from others.
DERIVED_KEYS = ('gt_centers_2d', 'gt_depths', 'gt_visual_depth')


@TRANSFORMS.register_module()
class LoadMonoKittiAnnotations(BaseTransform):
    """Unpack ``ann_info`` into the per-object arrays of :data:`OBJECT_KEYS`.

    ``gt_bboxes_3d`` becomes ``CameraInstance3DBoxes``. Two keys are derived from it: ``gt_centers_2d`` (N, 2), the
    projection of the box centre in pixels (divided by z as in the official code; NaN for a centre behind the camera),
    and ``gt_depths`` (N,), the centre's z in metres. A third, ``labelled``, says whether there were annotations.

    Args:
        allow_unlabelled: Give a frame without annotations no objects and ``labelled=False`` instead of refusing it.
            The head then leaves it out of the supervised losses, while distillation losses see it.

    Raises:
        DataError: The frame has no annotations (test split) and that is not allowed.
    """

    def __init__(self, allow_unlabelled: bool = False) -> None:
        self.allow_unlabelled = allow_unlabelled

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Unpack the annotations."""
        results['labelled'] = 'ann_info' in results
        if not results['labelled'] and not self.allow_unlabelled:
            raise DataError(
                f'frame {results.get("sample_id", "?")} has no annotations; drop LoadMonoKittiAnnotations from the '
                'pipeline of a split without labels, or let the frame be distilled on without '
                '(allow_unlabelled=True)'
            )
        annotations = results['ann_info'] if results['labelled'] else no_objects()
        boxes = annotations['gt_bboxes_3d']
        centers = boxes[:, :3].astype(np.float64)
        centers[:, 1] -= boxes[:, 4] / 2
        pixels, depths = project_cam_to_img(centers, results['cam2img'])
        results.update({key: annotations[key] for key in OBJECT_KEYS if key in annotations})
        results['gt_bboxes_3d'] = CameraInstance3DBoxes(boxes)
        results['gt_centers_2d'] = pixels.astype(np.float32)
        results['gt_depths'] = depths.astype(np.float32)
        results['box_type_3d'], results['box_mode_3d'] = CameraInstance3DBoxes, Box3DMode.CAM
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(allow_unlabelled={self.allow_unlabelled})'


def no_objects() -> dict[str, NDArray]:
    """Return the ``ann_info`` of a frame without objects, as :func:`parse_instances` forms it."""
    shapes = {'gt_bboxes_3d': (0, 7), 'gt_bboxes': (0, 4)}
    integers = ('gt_labels_3d', 'gt_occluded', 'gt_difficulty')
    read = (key for key in OBJECT_KEYS if key not in DERIVED_KEYS)
    return {key: np.zeros(shapes.get(key, (0,)), np.int64 if key in integers else np.float32) for key in read}

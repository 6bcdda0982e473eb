"""One sample in one picture: boxes on the image, its depth map, the scene from above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_distill.visualization.bev_canvas import BevView, BoxSet, draw_bev
from mono_distill.visualization.boxes import draw_boxes_2d, draw_boxes_3d
from mono_distill.visualization.compose import compose
from mono_distill.visualization.depth_colors import colorize_depth
from mono_distill.visualization.picture import GROUND_TRUTH_COLOR, PREDICTION_COLOR, Color, Picture, to_picture

_BOX_2D_COLOR: Color = (230, 200, 90)
_MIN_WIDTH = 960
_MIN_BEV_HEIGHT = 480


def draw_sample(
    image: Any,
    data_sample: Any,
    *,
    depth_map: Any = None,
    points: Any = None,
    classes: Sequence[str] | None = None,
) -> Picture:
    """Draw a packed camera sample, and predictions for it if it holds any.

    Ground truth is green, predictions are orange with their scores; annotated 2D boxes are light blue. 3D boxes are
    projected with the sample's ``cam2img``, that of the picture after augmentation. Small pictures are magnified.

    Args:
        image: (3, H, W) tensor or (H, W, 3) array, BGR in [0, 255], as the pipeline left it.
        data_sample: ``Det3DDataSample`` of :class:`mono_distill.datasets.PackMono3DInputs`, with ``gt_instances_3d``,
            ``pred_instances_3d``, both or none.
        depth_map: (1, H, W) or (H, W) metres; None for no panel.
        points: (N, 3 or more) LiDAR points in the camera frame of the sample, see :func:`points_in_camera`.
        classes: Names of the labels.

    Returns:
        The picture above the depth map, the scene from above to the right.
    """
    metainfo = data_sample.metainfo
    picture = to_picture(image)
    factor = max(1, round(_MIN_WIDTH / picture.shape[1]))
    cam2img = np.array(metainfo['cam2img'], dtype=np.float64)
    cam2img[:2] *= factor
    picture = _magnified(picture, factor)
    box_sets = _box_sets(data_sample)
    truth = data_sample.get('gt_instances_3d')
    if truth is not None and 'bboxes' in truth:
        picture = draw_boxes_2d(picture, truth.bboxes * factor, color=_BOX_2D_COLOR)
    panels = [(_caption(data_sample), _with_boxes(picture, data_sample, cam2img, classes))]
    if depth_map is not None:
        colors = _magnified(colorize_depth(depth_map, dilate=_dilation(depth_map)), factor)
        for box_set in box_sets:
            colors = draw_boxes_3d(colors, box_set.boxes, cam2img, color=(255, 255, 255))
        panels.append(('depth map: red near, blue 80 m, black missing', colors))
    left = compose(panels, direction='vertical')
    height = max(left.shape[0], _MIN_BEV_HEIGHT) - 18
    view = BevView(scale=height / 70)
    bev = draw_bev(points, box_sets, view=view, cam2img=cam2img, image_width=picture.shape[1])
    return compose([('', left), ('from above, camera frame, metres', bev)])


def points_in_camera(points: NDArray[np.floating], metainfo: Mapping[str, Any]) -> NDArray[np.float64]:
    """Map raw LiDAR points to the camera frame of a sample, mirrored if the sample was.

    Args:
        points: (N, 3 or more), LiDAR frame, metres, as recorded.
        metainfo: Of the packed sample: ``lidar2cam`` and ``flip``.

    Returns:
        (N, 3) camera frame (x right, y down, z forward), metres.
    """
    lidar2cam = np.asarray(metainfo['lidar2cam'], dtype=np.float64)
    moved = np.asarray(points[:, :3], dtype=np.float64) @ lidar2cam[:3, :3].T + lidar2cam[:3, 3]
    return moved * [-1, 1, 1] if metainfo.get('flip', False) else moved


def _box_sets(data_sample: Any) -> list[BoxSet]:
    sets = []
    if 'gt_instances_3d' in data_sample:
        sets.append(BoxSet(data_sample.gt_instances_3d.bboxes_3d, GROUND_TRUTH_COLOR, 'ground truth'))
    if 'pred_instances_3d' in data_sample:
        predictions = data_sample.pred_instances_3d
        sets.append(BoxSet(predictions.bboxes_3d, PREDICTION_COLOR, 'prediction', predictions.scores_3d))
    return sets


def _with_boxes(picture: Picture, data_sample: Any, cam2img: NDArray, classes: Sequence[str] | None) -> Picture:
    for key, color in (('gt_instances_3d', GROUND_TRUTH_COLOR), ('pred_instances_3d', PREDICTION_COLOR)):
        if key not in data_sample:
            continue
        instances = data_sample.get(key)
        labels = instances.labels_3d.tolist()
        names = [classes[label] if classes is not None else str(label) for label in labels]
        if 'scores_3d' in instances:
            names = [f'{name} {score:.2f}' for name, score in zip(names, instances.scores_3d.tolist(), strict=True)]
        picture = draw_boxes_3d(picture, instances.bboxes_3d, cam2img, color=color, texts=names)
    return picture


def _caption(data_sample: Any) -> str:
    metainfo = data_sample.metainfo
    words = [f'frame {metainfo.get("sample_id", "?")}']
    words.append('flipped' if metainfo.get('flip', False) else 'not flipped')
    words.append(f'crop scale {metainfo.get("crop_scale", 1.0):.2f}')
    if 'gt_instances_3d' in data_sample:
        words.append(f'{len(data_sample.gt_instances_3d.labels_3d)} objects')
    else:
        words.append('no annotations loaded')
    return ', '.join(words)


def _magnified(picture: Picture, factor: int) -> Picture:
    if factor == 1:
        return picture
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)


def _dilation(depth_map: Any) -> int:
    """Widen measurements only where they are sparse; a completed map has a value in most pixels."""
    return 0 if float((depth_map > 0).sum()) > 0.2 * np.prod(depth_map.shape) else 1

"""One multi-view sample in one picture: its cameras, the scene from above for each model, and feature maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mono_distill.utils.errors import ConfigError
from mono_distill.visualization.bev_canvas import BevView, BoxSet, draw_bev
from mono_distill.visualization.camera_mosaic import LidarBoxes, draw_camera_mosaic
from mono_distill.visualization.compose import compose
from mono_distill.visualization.feature_map import draw_feature_map
from mono_distill.visualization.lidar_geometry import boxes_seen_from_above, move, points_seen_from_above
from mono_distill.visualization.picture import GROUND_TRUTH_COLOR, PREDICTION_COLOR, Color, Picture

_COLORS: tuple[Color, ...] = ((255, 170, 60), PREDICTION_COLOR, (220, 90, 230))
_CAR_COLOR: Color = (235, 235, 235)
_MIN_CAMERA_WIDTH = 640
_GAP = 6
_CAPTION = 18


def draw_multi_view_sample(
    images: Any,
    data_sample: Any,
    *,
    points: Any = None,
    detections: Mapping[str, Any] | None = None,
    features: Mapping[str, Any] | None = None,
    gt_depth: Any = None,
    classes: Sequence[str] | None = None,
    reach: float = 51.2,
) -> Picture:
    """Draw a packed multi-view sample.

    Above are the cameras with all boxes projected into them; below, side by side, the scene from above: the LiDAR
    points with the ground truth, and one panel for each model with its boxes over the ground truth. Feature maps form a
    third row. Without models and maps the scene from above stands beside the cameras. Ground truth is green; the first
    model (the teacher) light blue, the second (the student) orange, with names and scores of the last one.
    Everything is drawn in the augmented LiDAR frame of the current key-frame, ahead up; the car is the white box.

    Args:
        images: (T, N, 3, H, W) BGR uint8, ``inputs['imgs']`` of :class:`mono_distill.datasets.PackBEVInputs`.
        data_sample: ``Det3DDataSample`` of the same sample; its ``pred_instances_3d``, if any, are drawn as
            ``'prediction'`` unless ``detections`` are given.
        points: (n, 3 or more), augmented LiDAR frame, metres; None for none.
        detections: Name of a model and what it found, above the score that is worth drawing: ``InstanceData`` with
            bboxes_3d, labels_3d and scores_3d.
        features: Name and feature map (C, H, W) seen from above, or (H, W).
        gt_depth: (N, h, w) depth targets, drawn as dots into the cameras; None for none.
        classes: Names of the labels.
        reach: Half of the drawn square, metres.

    Raises:
        ConfigError: ``reach`` is not positive.
    """
    if reach <= 0:
        raise ConfigError(f'draw_multi_view_sample: reach must be positive, got {reach}')
    truth, models = _box_sets(data_sample, detections, classes)
    magnify = math.ceil(_MIN_CAMERA_WIDTH / images.shape[-1])
    mosaic = draw_camera_mosaic(images, data_sample.metainfo, [*truth, *models], gt_depth=gt_depth, magnify=magnify)
    count = max(1 + len(models), len(features or ()))
    # A single panel stands beside the cameras, several form rows below them.
    count = count if count == 1 else max(3, count)
    side = mosaic.shape[0] - _CAPTION if count == 1 else (mosaic.shape[1] - _GAP * (count - 1)) // count
    view = BevView(x_range=(-reach, reach), z_range=(-reach, reach), scale=side / (2 * reach))
    above = None if points is None else points_seen_from_above(points)
    car = _car(data_sample.metainfo)
    panels = [('LiDAR' if points is not None else 'no points', draw_bev(above, _from_above([*truth, car]), view=view))]
    panels += [(model.name, draw_bev(above, _from_above([*truth, model, car]), view=view)) for model in models]
    if count == 1:
        return compose([(_caption(data_sample), compose([('', mosaic), *panels]))])
    rows = [(_caption(data_sample), mosaic), ('', compose(panels))]
    if features:
        maps = [(f'|{name}|', draw_feature_map(value, size=side)) for name, value in features.items()]
        rows.append(('', compose(maps)))
    return compose(rows, direction='vertical')


def _box_sets(
    data_sample: Any, detections: Mapping[str, Any] | None, classes: Sequence[str] | None
) -> tuple[list[LidarBoxes], list[LidarBoxes]]:
    """Return the ground truth (if any) and the boxes of the models."""
    models = []
    if detections is None and 'pred_instances_3d' in data_sample:
        found = data_sample.pred_instances_3d
        models.append(LidarBoxes(found.bboxes_3d, PREDICTION_COLOR, 'prediction', _names(found, classes)))
    for number, (name, found) in enumerate((detections or {}).items()):
        # Names and scores of several models on one place could not be read; those of the last one are shown.
        texts = _names(found, classes) if number == len(detections or {}) - 1 else None
        models.append(LidarBoxes(found.bboxes_3d, _COLORS[number % len(_COLORS)], name, texts))
    if 'gt_instances_3d' not in data_sample:
        return [], models
    instances = data_sample.gt_instances_3d
    texts = None if models else _names(instances, classes)
    return [LidarBoxes(instances.bboxes_3d, GROUND_TRUTH_COLOR, 'ground truth', texts)], models


def _names(instances: Any, classes: Sequence[str] | None) -> list[str]:
    labels = [int(label) for label in instances.labels_3d]
    names = [classes[label] if classes is not None else str(label) for label in labels]
    if 'scores_3d' not in instances:
        return names
    return [f'{name} {float(score):.2f}' for name, score in zip(names, instances.scores_3d, strict=True)]


def _from_above(sets: Sequence[LidarBoxes]) -> list[BoxSet]:
    return [BoxSet(boxes_seen_from_above(item.boxes), item.color, item.name) for item in sets]


def _car(metainfo: Mapping[str, Any]) -> LidarBoxes:
    """Return the outline of the car itself, moved like the rest of the world."""
    matrix = np.asarray(metainfo.get('lidar_aug_matrix', np.eye(4)), dtype=np.float64)
    scale = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    ahead = matrix[:2, 1]
    size = np.array([4.1, 1.8, 1.6]) * scale
    place = move(np.array([0.0, 0.4, -1.8]), matrix)
    return LidarBoxes([[*place, *size, np.arctan2(ahead[1], ahead[0])]], _CAR_COLOR)


def _caption(data_sample: Any) -> str:
    metainfo = data_sample.metainfo
    words = [f'key-frame {metainfo.get("token", metainfo.get("sample_idx", "?"))}']
    matrix = np.asarray(metainfo.get('lidar_aug_matrix', np.eye(4)), dtype=np.float64)
    if np.allclose(matrix, np.eye(4)):
        words.append('world as recorded')
    else:
        mirrored = 'mirrored' if np.linalg.det(matrix[:2, :2]) < 0 else 'not mirrored'
        words.append(f'world x {np.sqrt(abs(np.linalg.det(matrix[:2, :2]))):.2f}, {mirrored}')
    exists = metainfo.get('frame_exists')
    if exists is not None and len(exists) > 1:
        words.append(f'{int(np.sum(exists))} of {len(exists)} frames exist')
    if 'gt_instances_3d' in data_sample:
        words.append(f'{len(data_sample.gt_instances_3d.labels_3d)} objects')
    else:
        words.append('no annotations loaded')
    return ', '.join(words)

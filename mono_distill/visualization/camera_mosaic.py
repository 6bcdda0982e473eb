"""The pictures of all cameras of a car in one, with projected boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from mono_distill.utils.errors import ShapeError
from mono_distill.visualization.boxes import draw_corners_3d
from mono_distill.visualization.compose import compose
from mono_distill.visualization.depth_colors import colorize_depth
from mono_distill.visualization.lidar_geometry import CameraView, as_array
from mono_distill.visualization.picture import GROUND_TRUTH_COLOR, Color, Picture, to_picture

# Rows of the mosaic. Those behind are in the order in which a driver who turns round would see them.
_PLACES = (('CAM_FRONT_LEFT', 'CAM_FRONT', 'CAM_FRONT_RIGHT'), ('CAM_BACK_RIGHT', 'CAM_BACK', 'CAM_BACK_LEFT'))
_COLUMNS = 3


@dataclass(frozen=True)
class LidarBoxes:
    """Boxes of the LiDAR frame that are drawn alike.

    Attributes:
        boxes: ``LiDARInstance3DBoxes`` or (N, 7 or more).
        color: BGR.
        name: What they are, such as ``'teacher'``.
        texts: A text for each box; None for none.
    """

    boxes: Any
    color: Color = GROUND_TRUTH_COLOR
    name: str = ''
    texts: Sequence[str] | None = None


def draw_camera_mosaic(
    images: Any,
    metainfo: Mapping[str, Any],
    box_sets: Sequence[LidarBoxes] = (),
    *,
    gt_depth: Any = None,
    magnify: int = 1,
) -> Picture:
    """Draw the pictures of the current frame with boxes, three in a row.

    The six cameras of nuScenes, told by ``metainfo['cameras']``, take their places: left, front and right above, what
    lies behind below. Other rigs are drawn in their order.

    Args:
        images: (T, N, 3, H, W) or (N, 3, H, W) tensor, or a list of N (H, W, 3) arrays; BGR in [0, 255].
        metainfo: Of the packed sample, see :class:`mono_distill.visualization.lidar_geometry.CameraView`.
        box_sets: Boxes in the augmented LiDAR frame, later ones on top.
        gt_depth: (N, h, w) depth targets, metres, drawn as dots in the middle of their cells; None for none.
        magnify: Whole factor by which pictures are enlarged.

    Raises:
        ShapeError: The sample has no cameras, or depth targets of another number of them.
    """
    pictures = _current_pictures(images)
    if gt_depth is not None and len(gt_depth) != len(pictures):
        raise ShapeError(f'gt_depth has {len(gt_depth)} cameras, the sample {len(pictures)}')
    names = metainfo.get('cameras') or [f'camera {number}' for number in range(len(pictures))]
    panels = []
    for number, picture in enumerate(pictures):
        picture = cv2.resize(picture, None, fx=magnify, fy=magnify, interpolation=cv2.INTER_NEAREST)
        if gt_depth is not None:
            _draw_depth(picture, as_array(gt_depth[number]))
        for box_set in box_sets:
            picture = _with_boxes(picture, CameraView(metainfo, number), box_set, magnify)
        panels.append((str(names[number]), picture))
    rows = [compose(row) for row in _rows(panels)]
    return compose([('', row) for row in rows], direction='vertical')


def _current_pictures(images: Any) -> list[Picture]:
    pictures = list(images[0] if getattr(images, 'ndim', 4) == 5 else images)
    if not pictures:
        raise ShapeError('there is no camera to draw')
    return [to_picture(picture) for picture in pictures]


def _rows(panels: list[tuple[str, Picture]]) -> list[list[tuple[str, Picture]]]:
    by_name = dict(panels)
    if len(by_name) == len(panels) and all(name in sum(_PLACES, ()) for name in by_name):
        blank = np.full_like(panels[0][1], 40)
        return [[(name, by_name.get(name, blank)) for name in row] for row in _PLACES if set(row) & set(by_name)]
    return [panels[start : start + _COLUMNS] for start in range(0, len(panels), _COLUMNS)]


def _with_boxes(picture: Picture, view: CameraView, box_set: LidarBoxes, magnify: int) -> Picture:
    corners = view.corners(box_set.boxes)
    height, width = picture.shape[:2]
    seen = np.flatnonzero(view.sees(corners, (height // magnify, width // magnify)))
    texts = None if box_set.texts is None else [box_set.texts[index] for index in seen]
    return draw_corners_3d(picture, corners[seen], view.scaled(magnify), color=box_set.color, texts=texts, near=0.3)


def _draw_depth(picture: Picture, depth: np.ndarray) -> None:
    """Put a dot into the middle of every cell that has a depth; changes ``picture``."""
    colors = colorize_depth(depth)
    steps = picture.shape[0] / depth.shape[0], picture.shape[1] / depth.shape[1]
    for row, column in np.argwhere(depth > 0):
        middle = round((column + 0.5) * steps[1]), round((row + 0.5) * steps[0])
        cv2.circle(picture, middle, max(2, round(steps[0] / 8)), colors[row, column].tolist(), -1, cv2.LINE_AA)

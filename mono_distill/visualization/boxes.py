"""Draw 3D and 2D boxes on a camera picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from mono_distill.utils.errors import ShapeError
from mono_distill.visualization.box_geometry import EDGES, FRONT_CROSS, box_corners, project_segments
from mono_distill.visualization.picture import GROUND_TRUTH_COLOR, Color, Picture, put_text, to_picture

# Fractional bits of the coordinates OpenCV draws with, and a bound that keeps them inside 32 bits.
_SHIFT = 4
_LIMIT = 2.0**24


def draw_boxes_3d(
    image: Any,
    boxes: Any,
    cam2img: Any,
    *,
    color: Color = GROUND_TRUTH_COLOR,
    texts: Sequence[str] | None = None,
    thickness: int = 1,
    near: float = 0.1,
) -> Picture:
    """Draw the edges of 3D boxes, with a cross on the front face (the side the object heads to).

    Edges are cut at the plane ``z = near``: a box that reaches behind the camera shows its visible part only.

    Args:
        image: (H, W, 3) BGR picture, or tensor (3, H, W); not changed.
        boxes: ``CameraInstance3DBoxes`` or (N, 7).
        cam2img: 3x4 or 4x4 camera matrix of the picture (after augmentation).
        color: BGR.
        texts: One short text per box, such as a class name or a score.
        thickness: Width of the lines, pixels.
        near: Distance of the cutting plane, metres.

    Returns:
        A new picture.

    Raises:
        ShapeError: Picture or boxes have the wrong shape, or the number of texts differs from that of boxes.
    """
    return draw_corners_3d(image, box_corners(boxes), cam2img, color=color, texts=texts, thickness=thickness, near=near)


def draw_corners_3d(
    image: Any,
    corners: np.ndarray,
    cam2img: Any,
    *,
    color: Color = GROUND_TRUTH_COLOR,
    texts: Sequence[str] | None = None,
    thickness: int = 1,
    near: float = 0.1,
) -> Picture:
    """Draw boxes given by their (N, 8, 3) corners in the camera frame, in the order of ``box_corners``.

    For boxes that stand upright in another frame than the camera's; the arguments are those of :func:`draw_boxes_3d`.
    """
    picture = to_picture(image)
    _check_texts(texts, len(corners))
    pixels, visible = project_segments(corners[:, np.concatenate([EDGES, FRONT_CROSS])], cam2img, near)
    for segment in pixels[visible]:
        _draw_line(picture, segment, color, thickness)
    for index in np.flatnonzero(visible.any(axis=1)) if texts is not None else ():
        shown = np.clip(pixels[index][visible[index]].reshape(-1, 2), 0, [picture.shape[1] - 1, picture.shape[0] - 1])
        put_text(picture, (texts or ())[index], (shown[:, 0].min(), shown[:, 1].min() - 3), color)
    return picture


def draw_boxes_2d(
    image: Any, boxes: Any, *, color: Color = GROUND_TRUTH_COLOR, texts: Sequence[str] | None = None, thickness: int = 1
) -> Picture:
    """Draw (N, 4) xyxy boxes in pixels; see :func:`draw_boxes_3d` for the other arguments."""
    picture = to_picture(image)
    array = np.asarray(boxes.detach().cpu() if hasattr(boxes, 'detach') else boxes, dtype=np.float64).reshape(-1, 4)
    _check_texts(texts, len(array))
    for index, (left, top, right, bottom) in enumerate(array):
        outline = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
        for segment in pairwise(outline):
            _draw_line(picture, np.stack(segment), color, thickness)
        if texts is not None:
            put_text(picture, texts[index], (max(left, 0), max(top, 0) - 3), color)
    return picture


def _draw_line(picture: Picture, segment: np.ndarray, color: Color, thickness: int) -> None:
    ends = np.rint(np.clip(segment, -_LIMIT, _LIMIT) * 2**_SHIFT).astype(int)
    cv2.line(picture, ends[0].tolist(), ends[1].tolist(), color, thickness, cv2.LINE_AA, _SHIFT)


def _check_texts(texts: Sequence[str] | None, count: int) -> None:
    if texts is not None and len(texts) != count:
        raise ShapeError(f'expected one text per box, got {len(texts)} texts for {count} boxes')

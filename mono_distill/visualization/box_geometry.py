"""Corners, edges and projected line segments of 3D boxes in the camera frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.utils.errors import ShapeError

# Corner i of a box: 0-3 around the bottom face, 4-7 above them; 0 and 1 are at the front (where the object heads).
_LENGTH = np.array([1, 1, -1, -1, 1, 1, -1, -1]) / 2
_WIDTH = np.array([1, -1, -1, 1, 1, -1, -1, 1]) / 2
_HEIGHT = np.array([0, 0, 0, 0, -1, -1, -1, -1])
EDGES = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [0, 4], [1, 5], [2, 6], [3, 7]])
FRONT_CROSS = np.array([[0, 5], [1, 4]])


def box_array(boxes: Any) -> NDArray[np.float64]:
    """Return boxes as (N, 7) x, y of the bottom, z, length, height, width, rotation about y.

    Args:
        boxes: ``CameraInstance3DBoxes`` (anything with a ``tensor``), a tensor or an array.

    Raises:
        ShapeError: Rows do not have 7 values.
    """
    values = getattr(boxes, 'tensor', boxes)
    array = np.asarray(values.detach().cpu() if hasattr(values, 'detach') else values, dtype=np.float64)
    if array.size == 0:
        return np.zeros((0, 7))
    if array.ndim != 2 or array.shape[1] != 7:
        raise ShapeError(f'boxes must be (N, 7): x, y_bottom, z, l, h, w, ry; got {array.shape}')
    return array


def box_corners(boxes: Any) -> NDArray[np.float64]:
    """Return the (N, 8, 3) corners of camera boxes; corners 0, 1, 4 and 5 are the front face.

    Example:
        >>> box_corners([[0, 0, 10, 4, 2, 1, 0]])[0, 0].tolist()
        [2.0, 0.0, 10.5]
    """
    array = box_array(boxes)
    along, up, across = (array[:, index, None] * sign for index, sign in ((3, _LENGTH), (4, _HEIGHT), (5, _WIDTH)))
    cosine, sine = np.cos(array[:, 6:]), np.sin(array[:, 6:])
    offsets = np.stack([cosine * along + sine * across, up, cosine * across - sine * along], axis=2)
    return array[:, None, :3] + offsets


def project_segments(
    segments: NDArray[np.float64], cam2img: Any, near: float = 0.1
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Project 3D line segments, cut at a plane in front of the camera.

    A segment that crosses the plane ``z = near`` is shortened to its visible part. Without that, a corner behind the
    camera is projected to the wrong side of the picture.

    Args:
        segments: (..., 2, 3) end points, camera frame, metres.
        cam2img: 3x4 or 4x4 camera matrix; pixels are divided by z, as in the official KITTI code.
        near: Distance of the plane, metres.

    Returns:
        (..., 2, 2) pixels, and (...) whether any of the segment is visible (pixels of the others are meaningless).
    """
    start, end = segments[..., 0, :], segments[..., 1, :]
    in_front = segments[..., 2] >= near
    run = end[..., 2:] - start[..., 2:]
    # Only segments with one end on each side are cut, so the denominator of those is not 0.
    crossing = start + (near - start[..., 2:]) / np.where(run == 0, 1.0, run) * (end - start)
    cut = in_front[..., 0] != in_front[..., 1]
    points = np.stack(
        [
            np.where((cut & ~in_front[..., 0])[..., None], crossing, start),
            np.where((cut & ~in_front[..., 1])[..., None], crossing, end),
        ],
        axis=-2,
    )
    matrix = np.asarray(cam2img, dtype=np.float64)
    depth = np.maximum(points[..., 2:], near)
    return (points @ matrix[:2, :3].T + matrix[:2, 3]) / depth, in_front.any(axis=-1)

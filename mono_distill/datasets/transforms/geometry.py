"""How flips and axis-aligned affine maps of the picture change cameras, 2D points, 2D boxes and angles.

Pixel coordinates are treated as continuous, as in the official code: the picture spans ``[0, width] x [0, height]`` and
pixel ``i`` has its middle at ``i + 0.5``, so flipping is ``u -> width - u``. KITTI's labels and projections count pixel
centres as integers, which leaves the labels of a flipped picture one source pixel off.

A point of the camera frame is projected by the first two rows of ``cam2img`` and divided by its own z, as in the
official KITTI devkit and the monocular repositories (mmdet3d divides by ``z + cam2img[2, 3]``, up to a pixel away for
near objects).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


def crop_affine(
    img_size: tuple[int, int], out_size: tuple[int, int], scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> FloatArray:
    """Return the 3x3 map from picture pixels to input pixels of a crop window.

    The window is ``scale`` times as wide as the picture and its middle lies ``shift`` pixels from the picture's middle.
    Its width fills the input's width; the same factor is used vertically, so the height is cropped or padded
    (``get_affine_transform`` of the CenterNet family).

    Args:
        img_size: Width and height of the picture, pixels.
        out_size: Width and height of the network input, pixels.
        scale: Width of the window over the width of the picture; above 1 objects shrink.
        shift: Offset of the window's middle, pixels.

    Example:
        >>> crop_affine((100, 50), (200, 100)).tolist()
        [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]
    """
    factor = out_size[0] / (img_size[0] * scale)
    middle = np.asarray(img_size) / 2 + np.asarray(shift)
    matrix = np.diag([factor, factor, 1.0])
    matrix[:2, 2] = np.asarray(out_size) / 2 - factor * middle
    return matrix


def affine_cam2img(cam2img: FloatArray, trans_mat: FloatArray) -> FloatArray:
    """Return the camera matrix whose projections are those of ``cam2img`` mapped by ``trans_mat``.

    ``trans_mat @ cam2img`` would mix ``cam2img[2, 3]`` (some millimetres on KITTI) into the first two rows, which is
    wrong by that much for a projection that divides by z; the last row is taken as (0, 0, 1, 0) instead.
    """
    result = np.array(cam2img)
    result[:2] = trans_mat[:2, :2] @ cam2img[:2]
    result[:2, 2] += trans_mat[:2, 2]
    return result


def flip_cam2img(cam2img: FloatArray, width: float) -> FloatArray:
    """Return the camera matrix of the mirrored picture, for points mirrored to ``-x``.

    The principal point becomes ``width - cu`` and ``cam2img[0, 3]`` changes its sign; mmdet3d keeps the latter.
    """
    mirrored = affine_cam2img(cam2img, np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0]]))
    mirrored[:, 0] *= -1
    return mirrored


def affine_points(points: FloatArray, trans_mat: FloatArray) -> FloatArray:
    """Map (N, 2) pixel positions by a 3x3 or 2x3 matrix, keeping their dtype."""
    return (points @ trans_mat[:2, :2].T + trans_mat[:2, 2]).astype(points.dtype)


def affine_boxes(boxes: FloatArray, trans_mat: FloatArray) -> FloatArray:
    """Map (N, 4) xyxy boxes by an axis-aligned matrix; nothing is clipped to the picture."""
    return affine_points(boxes.reshape(-1, 2), trans_mat).reshape(-1, 4)


def flip_boxes(boxes: FloatArray, width: float) -> FloatArray:
    """Mirror (N, 4) xyxy boxes in a picture of ``width`` pixels."""
    mirrored = boxes.copy()
    mirrored[:, 0], mirrored[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    return mirrored


def wrap_angle(angle: FloatArray) -> FloatArray:
    """Bring angles (radians) to [-pi, pi).

    Example:
        >>> wrap_angle(np.array([3.5, -1.0])).round(3).tolist()
        [-2.783, -1.0]
    """
    return (angle + np.pi) % (2 * np.pi) - np.pi

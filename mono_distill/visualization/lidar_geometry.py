"""Boxes and points of the LiDAR frame, in the forms in which the drawing functions take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.utils.errors import ShapeError
from mono_distill.visualization.box_geometry import box_corners

FloatArray = NDArray[np.float64]


def as_array(values: Any) -> FloatArray:
    """Return a tensor, an array or an object of mmdet3d that has a ``tensor`` as a float64 array."""
    values = getattr(values, 'tensor', values)
    return np.asarray(values.detach().cpu() if hasattr(values, 'detach') else values, dtype=np.float64)


def boxes_seen_from_above(boxes: Any) -> FloatArray:
    """Turn LiDAR boxes into boxes of a level camera at the LiDAR that looks along y.

    Its x is the LiDAR's x, its y points down, its z is the LiDAR's y. In this form
    :func:`mono_distill.visualization.draw_bev` shows them with ahead up and right on the right.

    Args:
        boxes: ``LiDARInstance3DBoxes`` or (N, 7 or more): x, y, z of the bottom, dx, dy, dz, yaw.

    Returns:
        (N, 7) x, y of the bottom, z, length, height, width, rotation about y.

    Raises:
        ShapeError: Rows have fewer than 7 numbers.

    Example:
        >>> boxes_seen_from_above([[1.0, 20.0, -1.5, 4.0, 2.0, 1.6, 0.5]]).tolist()
        [[1.0, 1.5, 20.0, 4.0, 1.6, 2.0, -0.5]]
    """
    array = as_array(boxes)
    if array.size == 0:
        return np.zeros((0, 7))
    if array.ndim != 2 or array.shape[1] < 7:
        raise ShapeError(f'LiDAR boxes must be (N, 7 or more): x, y, z_bottom, dx, dy, dz, yaw; got {array.shape}')
    x, y, z, dx, dy, dz, yaw = array[:, :7].T
    return np.stack([x, -z, y, dx, dz, dy, -yaw], axis=1)


def points_seen_from_above(points: Any) -> FloatArray:
    """Turn (N, 3 or more) points of the LiDAR frame into points of the camera of :func:`boxes_seen_from_above`."""
    array = as_array(points)
    if array.ndim != 2 or array.shape[1] < 3:
        raise ShapeError(f'points must be (N, 3 or more), got {array.shape}')
    return np.stack([array[:, 0], -array[:, 2], array[:, 1]], axis=1)


def lidar_box_corners(boxes: Any) -> FloatArray:
    """Return the (N, 8, 3) corners of LiDAR boxes in the LiDAR frame, in the order of ``box_corners``.

    Example:
        >>> lidar_box_corners([[0.0, 0.0, -1.0, 4.0, 2.0, 1.5, 0.0]])[0, 0].tolist()
        [2.0, 1.0, -1.0]
    """
    corners = box_corners(boxes_seen_from_above(boxes))
    return np.stack([corners[..., 0], corners[..., 2], -corners[..., 1]], axis=-1)


def move(points: FloatArray, matrix: FloatArray) -> FloatArray:
    """Apply a 4x4 matrix to (..., 3) points."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


class CameraView:
    """One camera of a packed multi-view sample: from the augmented LiDAR frame to its augmented picture.

    Args:
        metainfo: Of the sample: lidar2cam (N, 4, 4), cam2img and img_aug_matrix (T, N, 4, 4), lidar_aug_matrix (4, 4).
        camera: Number of the camera; frame 0 is taken.
    """

    def __init__(self, metainfo: Mapping[str, Any], camera: int) -> None:
        missing = [key for key in ('lidar2cam', 'cam2img') if key not in metainfo]
        if missing:
            raise ShapeError(f'the sample has no {" and no ".join(missing)}; pack it with mono_distill.PackBEVInputs')
        lidar2cam = as_array(metainfo['lidar2cam'])[camera]
        self.lidar2cam = lidar2cam @ np.linalg.inv(as_array(metainfo.get('lidar_aug_matrix', np.eye(4))))
        augmentation = np.eye(3)
        if 'img_aug_matrix' in metainfo:
            matrix = as_array(metainfo['img_aug_matrix'])[0, camera]
            augmentation[:2, :2], augmentation[:2, 2] = matrix[:2, :2], matrix[:2, 3]
        self.cam2img = augmentation @ as_array(metainfo['cam2img'])[0, camera][:3]

    def scaled(self, factor: float) -> FloatArray:
        """Return the 3x4 camera matrix of the picture magnified by ``factor``."""
        return np.diag([factor, factor, 1.0]) @ self.cam2img

    def corners(self, boxes: Any) -> FloatArray:
        """Return the (N, 8, 3) corners of LiDAR boxes in the camera frame."""
        return move(lidar_box_corners(boxes), self.lidar2cam)

    def sees(self, corners: FloatArray, size: tuple[int, int], near: float = 0.3) -> NDArray[np.bool_]:
        """Return which boxes (N, 8, 3) have a corner, or their middle, in a picture of ``size`` (height, width)."""
        points = np.concatenate([corners, corners.mean(axis=1, keepdims=True)], axis=1)
        pixels = points @ self.cam2img[:, :3].T + self.cam2img[:, 3]
        pixels = pixels[..., :2] / np.maximum(pixels[..., 2:], near)
        inside = ((pixels >= 0) & (pixels < size[::-1])).all(axis=-1)
        return (inside & (points[..., 2] > near)).any(axis=1)

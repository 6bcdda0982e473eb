"""LiDAR depth maps: scans projected into the image, and their 16 bit PNG files.

A depth map is an (H, W) float32 array in metres on the grid of the image, 0 where nothing was measured. The depth is
the ``z`` of the rectified camera frame in which KITTI's labels are given, so the depth map and the annotated object
depths are directly comparable. (Camera 2 itself sits ``P2[2, 3]``, about 3 mm, away from it along ``z``; a step of the
file format is 4 mm.)
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from mono_distill.datasets.kitti.depth_completion import DepthCompletion, complete_depth
from mono_distill.datasets.kitti.projection import pixel_indices, project_cam_to_img, transform_points
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import DataError, ShapeError

__all__ = [
    'DEPTH_SCALE',
    'MAX_DEPTH',
    'DepthCompletion',
    'complete_depth',
    'project_lidar_to_depth',
    'read_depth_png',
    'write_depth_png',
]

# KITTI's convention for depth in PNG files: value / 256 = metres, 0 = not measured.
DEPTH_SCALE = 256
MAX_DEPTH = 65535 / DEPTH_SCALE


def project_lidar_to_depth(
    points: np.ndarray, lidar2cam: np.ndarray, cam2img: np.ndarray, *, shape: tuple[int, int]
) -> np.ndarray:
    """Project a LiDAR scan into the image and keep the nearest return of every pixel.

    A point belongs to the pixel whose centre is nearest to its projection.

    Args:
        points: (N, 3 or more) scan in the LiDAR frame, metres; further columns are ignored.
        lidar2cam: (4, 4) LiDAR to the rectified camera frame.
        cam2img: (3, 4) or (4, 4) projection matrix ``P2``.
        shape: Height and width of the image, pixels.

    Returns:
        (H, W) float32 depth map, metres, 0 where no return falls.

    Raises:
        ShapeError: If an argument has the wrong shape.

    Example:
        >>> cam2img = np.array([[1.0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]])
        >>> points = np.array([[0.0, 0.0, 9.0], [0.0, 0.0, 4.0], [8.0, 0.0, 8.0]])
        >>> project_lidar_to_depth(points, np.eye(4), cam2img, shape=(2, 3))
        array([[0., 0., 0.],
               [0., 4., 8.]], dtype=float32)
    """
    if points.ndim != 2 or points.shape[1] < 3:
        raise ShapeError(f'a scan must be (N, 3 or more), got {points.shape}')
    pixels, depth = project_cam_to_img(transform_points(points[:, :3], lidar2cam), cam2img)
    inside, index = pixel_indices(pixels, shape)
    nearest = np.full(shape[0] * shape[1], np.inf)
    np.minimum.at(nearest, index[:, 1] * shape[1] + index[:, 0], depth[inside])
    nearest[np.isinf(nearest)] = 0.0
    return nearest.reshape(shape).astype(np.float32)


def write_depth_png(path: str | os.PathLike[str], depth: np.ndarray) -> None:
    """Write a depth map as a 16 bit PNG, metres x 256, 0 = not measured; whole or not at all.

    Depths beyond 255.998 m cannot be written; they become 0 rather than a distance nobody measured. (KITTI's LiDAR
    reaches 120 m.) Depths are rounded to the nearest 1/256 m.

    Args:
        path: File to write.
        depth: (H, W) metres.

    Raises:
        ShapeError: If ``depth`` has not two axes.
        DataError: If a depth is negative or not finite, or the encoder fails.
    """
    if depth.ndim != 2:
        raise ShapeError(f'a depth map must be (H, W), got {depth.shape}')
    if not (np.isfinite(depth).all() and (depth >= 0).all()):
        raise DataError(f'refusing to write {path}: the depth map has negative depths or depths that are not finite')
    scaled = np.rint(depth.astype(np.float64) * DEPTH_SCALE)
    encoded = np.where(scaled > np.iinfo(np.uint16).max, 0, scaled).astype(np.uint16)
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), encoded):
            raise DataError(f'OpenCV could not write {path}')


def read_depth_png(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a depth map written by :func:`write_depth_png` or in the same convention (KITTI depth benchmark, DID-M3D).

    Args:
        path: 16 bit one-channel PNG.

    Returns:
        (H, W) float32 depth map, metres, 0 = not measured.

    Raises:
        DataError: If the file is missing, does not decode, or is not a 16 bit one-channel image.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f'no depth map at {path}; `mono-distill prepare kitti` writes it')
    encoded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if encoded is None:
        raise DataError(f'{path} does not decode as an image; delete it and run `mono-distill prepare kitti` again')
    if encoded.dtype != np.uint16 or encoded.ndim != 2:
        raise DataError(f'{path} must be a 16 bit one-channel PNG, got {encoded.dtype} of shape {encoded.shape}')
    return encoded.astype(np.float32) / DEPTH_SCALE

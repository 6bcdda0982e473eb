"""Projection of camera coordinates into the image, exactly as the official KITTI mono detectors do it.

The official code (``rect_to_img`` of ``kitti_utils.py`` in MonoDLE, MonoDETR, DID-M3D and PointRCNN) divides by the
depth ``z`` of the rectified reference camera, not by the homogeneous coordinate ``z + P2[2, 3]``. MMDetection3D's
``points_cam2img`` divides by the latter. The two differ by ``P2[2, 3] / z`` (about 0.0027 m / z) of the distance to
the image origin: half a pixel at the right border for an object 5 m away. Training targets, decoded boxes and LiDAR
depth maps of this package all use the official form, so that they agree with each other and with published models.
"""

from __future__ import annotations

import numpy as np

from mono_distill.utils.errors import ShapeError

# Points closer to the image plane than this (metres) are treated as behind the camera: they have no finite pixel.
MIN_DEPTH = 1e-3


def transform_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Map points through a rigid or affine 3D transform.

    Args:
        points: (N, 3) coordinates in the source frame.
        matrix: (3, 4) or (4, 4) transform, source frame to target frame.

    Returns:
        (N, 3) float64 coordinates in the target frame.

    Raises:
        ShapeError: If an argument has another shape.

    Example:
        >>> shift = np.eye(4)
        >>> shift[0, 3] = 2.0
        >>> transform_points(np.array([[1.0, 0.0, 5.0]]), shift)
        array([[3., 0., 5.]])
    """
    points, matrix = _checked(points, matrix)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def project_cam_to_img(points: np.ndarray, cam2img: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project points of the rectified camera frame to pixels, dividing by ``z``.

    Source: ``rect_to_img`` of the official KITTI mono detectors (see the module's docstring).

    Args:
        points: (N, 3) points in the rectified camera frame of the labels (x right, y down, z forward), metres.
        cam2img: (3, 4) or (4, 4) projection matrix (``P2``); its fourth column is the offset of camera 2.

    Returns:
        Pixels (N, 2) as (u, v), where integer values are pixel centres, and depths (N,): the points' own ``z`` in
        metres, without ``P2[2, 3]``. Points with ``z < MIN_DEPTH`` have no pixel: theirs is NaN.

    Raises:
        ShapeError: If an argument has another shape.

    Example:
        >>> cam2img = np.array([[700.0, 0, 600, 45], [0, 700, 180, 0.2], [0, 0, 1, 0.003]])
        >>> pixels, depth = project_cam_to_img(np.array([[1.0, 0.5, 10.0]]), cam2img)
        >>> pixels.round(2), depth
        (array([[674.5 , 215.02]]), array([10.]))
    """
    points, cam2img = _checked(points, cam2img)
    depth = points[:, 2]
    scaled = points @ cam2img[:2, :3].T + cam2img[:2, 3]
    pixels = np.full_like(scaled, np.nan)
    front = depth >= MIN_DEPTH
    pixels[front] = scaled[front] / depth[front, None]
    return pixels, depth


def pixel_indices(pixels: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixel each projection falls into.

    A projection belongs to the pixel whose centre is nearest; KITTI's pixel centres are integers.

    Args:
        pixels: (N, 2) projections (u, v); NaN where there is none.
        shape: Height and width of the image, pixels.

    Returns:
        Whether each projection falls into the image, (N,) bool, and for the K that do their column and row,
        (K, 2) int64.

    Example:
        >>> pixel_indices(np.array([[0.4, 0.6], [-0.6, 0.0], [np.nan, np.nan]]), (2, 3))
        (array([ True, False, False]), array([[0, 1]]))
    """
    height, width = shape
    nearest = np.floor(pixels + 0.5)
    # Comparisons with NaN, the pixel of points behind the camera, are false.
    inside = ((nearest >= 0) & (nearest < (width, height))).all(axis=1)
    return inside, nearest[inside].astype(np.int64)


def unproject_img_to_cam(pixels: np.ndarray, depth: np.ndarray, cam2img: np.ndarray) -> np.ndarray:
    """Lift pixels with known depth into the rectified camera frame; the inverse of :func:`project_cam_to_img`.

    Args:
        pixels: (N, 2) pixels (u, v).
        depth: (N,) ``z`` in metres.
        cam2img: (3, 4) or (4, 4) projection matrix without skew (``P2`` after flip, crop and scale has none).

    Returns:
        (N, 3) points in the rectified camera frame, metres.

    Raises:
        ShapeError: If an argument has another shape.

    Example:
        >>> cam2img = np.array([[700.0, 0, 600, 45], [0, 700, 180, 0.2], [0, 0, 1, 0.003]])
        >>> point = np.array([[1.0, 0.5, 10.0]])
        >>> unproject_img_to_cam(*project_cam_to_img(point, cam2img), cam2img).round(6)
        array([[ 1. ,  0.5, 10. ]])
    """
    depth = np.asarray(depth, dtype=np.float64)
    pixels = np.asarray(pixels, dtype=np.float64)
    if pixels.ndim != 2 or pixels.shape[1] != 2 or depth.shape != pixels.shape[:1]:
        raise ShapeError(f'pixels must be (N, 2) and depth (N,), got {pixels.shape} and {depth.shape}')
    focal = np.array([cam2img[0][0], cam2img[1][1]])
    centre = np.array([cam2img[0][2], cam2img[1][2]])
    offset = np.array([cam2img[0][3], cam2img[1][3]])
    plane = ((pixels - centre) * depth[:, None] - offset) / focal
    return np.concatenate([plane, depth[:, None]], axis=1)


def _checked(points: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points = np.asarray(points, dtype=np.float64)
    matrix = np.asarray(matrix, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ShapeError(f'points must be (N, 3), got {points.shape}')
    if matrix.shape not in ((3, 4), (4, 4)):
        raise ShapeError(f'the matrix must be (3, 4) or (4, 4), got {matrix.shape}')
    return points, matrix

"""LiDAR points inside annotated boxes."""

from __future__ import annotations

import numpy as np

from mono_distill.utils.errors import ShapeError


def points_in_boxes(points: np.ndarray, bboxes_3d: np.ndarray) -> np.ndarray:
    """Say which points lie inside which boxes (faces included).

    Args:
        points: (N, 3) rectified camera frame (x right, y down, z forward), metres.
        bboxes_3d: (M, 7) boxes x, y_bottom, z, l, h, w, ry in the same frame.

    Returns:
        (M, N) bool.

    Raises:
        ShapeError: If an argument has another shape.

    Example:
        >>> box = np.array([[0.0, 1.5, 10.0, 4.0, 1.5, 2.0, 0.0]])
        >>> points_in_boxes(np.array([[1.9, 1.0, 10.0], [0.0, 1.0, 11.5]]), box)
        array([[ True, False]])
    """
    if points.ndim != 2 or points.shape[1] != 3:
        raise ShapeError(f'points must be (N, 3), got {points.shape}')
    if bboxes_3d.ndim != 2 or bboxes_3d.shape[1] != 7:
        raise ShapeError(f'boxes must be (M, 7), got {bboxes_3d.shape}')
    offset = points[None] - bboxes_3d[:, None, :3]
    length, height, width = (bboxes_3d[:, 3:6] / 2).T[:, :, None]
    cosine, sine = np.cos(bboxes_3d[:, 6:7]), np.sin(bboxes_3d[:, 6:7])
    # The heading turns the box about y; turning the offsets back makes the box axis-aligned.
    along = cosine * offset[..., 0] - sine * offset[..., 2]
    across = sine * offset[..., 0] + cosine * offset[..., 2]
    above = -offset[..., 1]
    return (np.abs(along) <= length) & (np.abs(across) <= width) & (above >= 0) & (above <= 2 * height)

"""Rigid transforms of nuScenes' records as 4x4 matrices (column vectors; ``a2b`` maps points of frame a to frame b)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyquaternion import Quaternion


def pose_of(record: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the pose of an ``ego_pose`` (ego to global) or a ``calibrated_sensor`` (sensor to ego).

    Example:
        >>> pose_of({'translation': [1, 2, 3], 'rotation': [1, 0, 0, 0]})[:3, 3]
        array([1., 2., 3.])
    """
    pose = np.eye(4)
    pose[:3, :3] = Quaternion(record['rotation']).rotation_matrix
    pose[:3, 3] = record['translation']
    return pose


def as_matrix(values: ArrayLike) -> NDArray[np.float64]:
    """Return a 3x3 or 4x4 matrix of the infos as 4x4 float64; a 3x3 one is the upper left part of it.

    Raises:
        ValueError: The values have another shape.
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.shape not in ((3, 3), (4, 4)):
        raise ValueError(f'expected a 3x3 or 4x4 matrix, got shape {matrix.shape}')
    full = np.eye(4)
    full[: len(matrix), : len(matrix)] = matrix
    return full


def invert_rigid(pose: NDArray) -> NDArray[np.float64]:
    """Return the inverse of a rotation with translation.

    A rotation that was rounded to float32 is inverted as what it is, so that ``invert_rigid(p) @ p`` is the identity.
    """
    return np.linalg.inv(np.asarray(pose, dtype=np.float64))


def lidar2global(info: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the pose of a key-frame's LiDAR at the time of its scan."""
    return as_matrix(info['ego2global']) @ as_matrix(info['lidar_points']['lidar2ego'])


def past2current(past: Mapping[str, Any], current: Mapping[str, Any]) -> NDArray[np.float64]:
    r"""Return LiDAR frame of an earlier key-frame to LiDAR frame of the current one.

    .. math:: T = (E_c L_c)^{-1} E_p L_p

    with :math:`E` ego to global and :math:`L` LiDAR to ego. Followed by ``inv(lidar2cam)`` of the earlier frame's
    cameras it places their images in the current frame: ``lidar2cam`` already holds the car's motion between the
    LiDAR's and that camera's time.
    """
    return invert_rigid(lidar2global(current)) @ lidar2global(past)

"""nuScenes' annotated boxes in the LiDAR frame of their key-frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyquaternion import Quaternion

from mono_distill.datasets.nuscenes.poses import invert_rigid


def box_in_lidar(annotation: Mapping[str, Any], lidar2global: NDArray) -> NDArray[np.float32]:
    """Return (7,) x, y, z of the centre of gravity, length, width, height, yaw in the LiDAR frame.

    The LiDAR leans a little against the ground plane, so a box that stands upright in the global frame does not in the
    LiDAR's, and a yaw alone cannot say how. It is chosen so that the way back is exact: the direction
    ``(cos yaw, sin yaw, 0)``, turned into the global frame and seen from above, is the annotated heading. This is what
    the benchmark compares. (The heading seen along the LiDAR's own axis, which mmdet3d stores, differs by up to half
    the squared lean, 0.0003 rad on level ground.)

    Args:
        annotation: ``sample_annotation`` record.
        lidar2global: (4, 4).
    """
    global2lidar = invert_rigid(lidar2global)
    center = global2lidar[:3, :3] @ annotation['translation'] + global2lidar[:3, 3]
    heading = Quaternion(annotation['rotation']).rotation_matrix[:2, 0]
    x, y = _planar(heading, lidar2global)
    width, length, height = annotation['size']
    return np.array([*center, length, width, height, np.arctan2(y, x)], dtype=np.float32)


def velocity_in_lidar(velocity: NDArray, lidar2global: NDArray) -> NDArray[np.float32]:
    """Return (2,) the velocity along the LiDAR frame's x and y whose way back has the given global x and y.

    Args:
        velocity: (2,) or (3,) global frame, m/s; NaN where unknown.
        lidar2global: (4, 4).
    """
    return _planar(velocity[:2], lidar2global).astype(np.float32)


def _planar(vector: NDArray, lidar2global: NDArray) -> NDArray[np.float64]:
    """Return the vector in the LiDAR's x-y plane that lies, seen from above, along a global (2,) vector."""
    return np.linalg.solve(lidar2global[:2, :2], vector)

"""Where a scene lies in the global frame, and the map of its road."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.mesh import pose_matrix
from mono_distill.synthetic.nuscenes.streams import Stream, generator
from mono_distill.synthetic.scene import Scene

# The devkit assumes this resolution of the file, metres per pixel, and the global origin at its lower left corner.
RESOLUTION = 0.1
# Road drawn before the first and after the last position of the car, metres.
REACH = 100.0
# Distance of the map's road from the global axes, metres.
OFFSET = (100.0, 300.0)
# Length of a straight piece of the drawn kerb, metres.
STEP = 1.0
# Binary digits after the point of OpenCV's coordinates.
SHIFT = 4


def world2global(scene: Scene, duration: float) -> NDArray[np.float64]:
    """Return the (4, 4) pose of the scene's world frame in the global frame: moved and turned, not leaning.

    Args:
        scene: The scene.
        duration: Seconds that are recorded.
    """
    rng = generator(scene.seed, scene.index, 0, Stream.GLOBAL_POSE)
    pose = pose_matrix(0, 0, 0, rng.uniform(-np.pi, np.pi))
    outline = _road_outline(scene, duration) @ pose[:3, :3].T
    pose[:2, 3] = rng.uniform(*OFFSET, size=2) - outline[:, :2].min(axis=0)
    return pose


def draw_map(scene: Scene, duration: float) -> NDArray[np.uint8]:
    """Return the mask of the road from kerb to kerb, 255 on 0, 0.1 m per pixel, y upward."""
    pose = world2global(scene, duration)
    outline = (_road_outline(scene, duration) @ pose[:3, :3].T + pose[:3, 3])[:, :2]
    width, height = np.ceil((outline.max(axis=0) + OFFSET[0]) / RESOLUTION).astype(int)
    mask = np.zeros((height, width), dtype=np.uint8)
    pixels = np.stack([outline[:, 0] / RESOLUTION, height - outline[:, 1] / RESOLUTION], axis=1)
    cv2.fillPoly(mask, [np.round(pixels * 2**SHIFT).astype(np.int32)], 255, shift=SHIFT)
    return mask


def _road_outline(scene: Scene, duration: float) -> NDArray[np.float64]:
    """Return (N, 3) world points around the road."""
    ends = sorted([scene.ego.s, scene.ego.s + scene.ego.speed * duration])
    low, high = max(ends[0] - REACH, scene.road.RANGE[0]), min(ends[1] + REACH, scene.road.RANGE[1])
    along = np.arange(low, high, STEP)
    right, left = scene.road.half_widths
    return np.concatenate([scene.road.points(along, -right), scene.road.points(along[::-1], left)])

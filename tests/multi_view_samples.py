"""Hand-made samples of a car with several cameras and a LiDAR, as the multi-view pipeline passes them on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmdet3d.structures import LiDARInstance3DBoxes, LiDARPoints

from mono_distill.datasets.nuscenes.classes import CAMERAS

# Directions in which the cameras look, degrees counterclockwise from ahead (y of the LiDAR frame), in their order.
AZIMUTHS = (0.0, -55.0, 55.0, 180.0, 110.0, -110.0)


def lidar2cam(azimuth: float, tilt: float = 2.0) -> np.ndarray:
    """Return the (4, 4) matrix into a camera (x right, y down, z ahead) half a metre off the LiDAR."""
    turn, lean = np.deg2rad(azimuth), np.deg2rad(tilt)
    right = np.array([np.cos(turn), np.sin(turn), 0.0])
    ahead = np.array([-np.sin(turn), np.cos(turn), 0.0])
    down = np.array([0.0, 0.0, -1.0])
    matrix = np.eye(4)
    rotation = np.stack([right, np.cos(lean) * down - np.sin(lean) * ahead, np.cos(lean) * ahead + np.sin(lean) * down])
    matrix[:3, :3] = rotation
    matrix[:3, 3] = -rotation @ (0.5 * ahead + [0.0, 0.0, -0.3])
    return matrix


def cam2img(size: tuple[int, int]) -> np.ndarray:
    """Return (4, 4) intrinsics like those of nuScenes, for pictures of ``size`` (height, width)."""
    scale = size[1] / 1600
    matrix = np.eye(4)
    matrix[:2, :3] = [[1266 * scale, 0, 816 * scale], [0, 1266 * scale, 491 * scale]]
    return matrix


def boxes(count: int = 5) -> LiDARInstance3DBoxes:
    """Return boxes all around, with velocities."""
    draw = np.random.default_rng(3)
    around = np.arange(count) * 2 * np.pi / max(count, 1)
    radius = 8 + 20 * draw.random(count)
    columns = [
        radius * np.cos(around), radius * np.sin(around), -1.8 + 0.3 * draw.random(count), 3 + 2 * draw.random(count),
        1.5 + draw.random(count), 1 + draw.random(count), 6 * draw.random(count) - 3, 8 * draw.random(count) - 4,
        8 * draw.random(count) - 4,
    ]  # fmt: skip
    return LiDARInstance3DBoxes(torch.from_numpy(np.stack(columns, axis=1)).float(), box_dim=9)


def cloud(count: int, seed: int = 0) -> LiDARPoints:
    """Return points around the car: x, y, z, intensity and dt, which is 0 for two thirds of them."""
    draw = np.random.default_rng(seed)
    position = draw.uniform([-50, -50, -3], [50, 50, 2], size=(count, 3))
    dt = np.where(np.arange(count) % 3 == 2, 0.05, 0.0)
    columns = [position, draw.uniform(0, 255, (count, 1)), dt[:, None]]
    return LiDARPoints(torch.from_numpy(np.concatenate(columns, axis=1)).float(), points_dim=5)


def sample(
    *, frames: int = 1, cameras: int = 6, size: tuple[int, int] = (90, 160), points: int = 200, past: int = 0
) -> dict[str, Any]:
    """Return a sample as it leaves the loaders of the pipeline."""
    draw = np.random.default_rng(frames * 10 + cameras)
    to_camera = np.stack([lidar2cam(azimuth) for azimuth in AZIMUTHS[:cameras]])
    to_lidar = np.repeat(np.linalg.inv(to_camera)[None], frames, axis=0)
    to_lidar[:, :, 1, 3] -= 2.0 * np.arange(frames)[:, None]  # the car drove two metres ahead per frame
    shape = (frames, cameras, 1, 1)
    return {
        'img': [[draw.integers(0, 256, (*size, 3), np.uint8) for _ in range(cameras)] for _ in range(frames)],
        'cam2img': np.tile(cam2img(size), shape),
        'cam2lidar': to_lidar,
        'lidar2cam': to_camera,
        'img_aug_matrix': np.tile(np.eye(4), shape),
        'lidar_aug_matrix': np.eye(4),
        'frame_exists': np.arange(frames) < 2,
        'points': cloud(points),
        'past_points': [cloud(points // 2, seed=1 + k) for k in range(past)],
        'past_exists': np.arange(past) < 1,
        'gt_bboxes_3d': boxes(),
        'gt_labels_3d': np.arange(5),
        'token': 'ca9a282c',
        'scene_token': 'fcbccedd',
        'sample_idx': 7,
        'timestamp': 1532402927.6,
        'ego2global': np.eye(4),
        'lidar2ego': np.eye(4),
        'lidar_path': 'samples/LIDAR_TOP/a.bin',
        'cameras': CAMERAS[:cameras],
        'img_path': [f'samples/{name}/0.jpg' for name in CAMERAS[:cameras]],
        'box_type_3d': LiDARInstance3DBoxes,
        'box_mode_3d': 0,
    }

"""A tiny folder in the KITTI object layout: every frame sees a wall 12 m ahead and one car before it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SHAPE = (48, 160)
WALL_DEPTH = 12.0
CAM2IMG = np.array([[100.0, 0.0, 80.0, 4.5], [0.0, 100.0, 24.0, 0.2], [0.0, 0.0, 1.0, 0.0027]])
# The LiDAR's x forward, y left, z up become the camera's z forward, x right, y down, with a small lever arm.
VELO_TO_CAM = np.array([[0.0, -1.0, 0.0, 0.01], [0.0, 0.0, -1.0, -0.08], [1.0, 0.0, 0.0, -0.27]])
CAR = 'Car 0.00 1 0.30 60.00 10.00 110.00 45.00 1.50 1.60 4.00 0.50 1.60 10.00 0.35'
DONT_CARE = 'DontCare -1 -1 -10 5.00 5.00 20.00 15.00 -1 -1 -1 -1000 -1000 -1000 -10'


def calib_text(**changes: str | None) -> str:
    """Return a calibration file; ``None`` drops a line, a string replaces its values."""
    lines: dict[str, str | None] = {name: _values(CAM2IMG) for name in ('P0', 'P1', 'P2', 'P3')}
    lines |= {'R0_rect': _values(np.eye(3)), 'Tr_velo_to_cam': _values(VELO_TO_CAM), 'Tr_imu_to_velo': _values(CAM2IMG)}
    lines |= changes
    return ''.join(f'{name}: {values}\n' for name, values in lines.items() if values is not None) + '\n'


def wall_scan(depth: float = WALL_DEPTH) -> np.ndarray:
    """Return the (N, 4) scan of a wall at the given depth of the rectified camera frame."""
    across, up = np.meshgrid(np.arange(-12, 12, 0.11), np.arange(-4, 4, 0.3))
    points = np.stack([np.full_like(across, depth + 0.27), across, up, np.zeros_like(across)], axis=-1)
    return points.reshape(-1, 4).astype('<f4')


def write_frame(
    root: Path, name: str, *, subset: str = 'training', label: str | None = f'{CAR}\n{DONT_CARE}\n'
) -> None:
    """Write one frame; ``label=None`` writes no label file."""
    for part in ('image_2', 'calib', 'velodyne', 'label_2'):
        (root / subset / part).mkdir(parents=True, exist_ok=True)
    # Noise: an image that compresses to nothing could not be cut short.
    image = np.random.default_rng(int(name)).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    cv2.imwrite(str(root / subset / 'image_2' / f'{name}.png'), image)
    (root / subset / 'calib' / f'{name}.txt').write_text(calib_text())
    wall_scan(WALL_DEPTH + int(name)).tofile(root / subset / 'velodyne' / f'{name}.bin')
    if label is not None:
        (root / subset / 'label_2' / f'{name}.txt').write_text(label)


def write_folder(root: Path, *, training: int = 3, testing: int = 0) -> Path:
    for number in range(training):
        write_frame(root, f'{number:06d}')
    for number in range(testing):
        write_frame(root, f'{number:06d}', subset='testing', label=None)
    return root


def write_split(root: Path, split: str, *names: str) -> None:
    (root / 'ImageSets').mkdir(exist_ok=True)
    (root / 'ImageSets' / f'{split}.txt').write_text(''.join(f'{name}\n' for name in names))


def _values(matrix: np.ndarray) -> str:
    return ' '.join(f'{value:.12e}' for value in matrix.ravel())

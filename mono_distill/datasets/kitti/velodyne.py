"""KITTI LiDAR scans (``velodyne/000123.bin``)."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from mono_distill.utils.errors import DataError

POINT_FEATURES = 4
POINT_BYTES = 4 * POINT_FEATURES


def read_velodyne(path: str | os.PathLike[str]) -> np.ndarray:
    """Read one scan.

    Args:
        path: Little-endian float32 file of x, y, z, reflectance.

    Returns:
        (N, 4) float32: x forward, y left, z up in metres (LiDAR frame), reflectance 0 to 1.

    Raises:
        DataError: If the file cannot be read, is empty or cut short, or holds values that are not finite.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f'cannot read the scan {path}: {error}') from error
    if not content:
        raise DataError(f'{path} is empty')
    if len(content) % POINT_BYTES:
        raise DataError(f'{path} has {len(content)} bytes, not a multiple of {POINT_BYTES}: it is cut short')
    points = np.frombuffer(content, dtype='<f4').reshape(-1, POINT_FEATURES)
    faulty = int((~np.isfinite(points)).any(axis=1).sum())
    if faulty:
        raise DataError(f'{path} has {faulty} points with values that are not finite')
    return points

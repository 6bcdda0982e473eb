"""KITTI calibration files (``calib/000123.txt``)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mono_distill.utils.errors import DataError

# Rows and columns of every matrix a KITTI object calibration file may hold; the first three are always needed.
MATRIX_SHAPES = {
    'P2': (3, 4),
    'R0_rect': (3, 3),
    'Tr_velo_to_cam': (3, 4),
    'P0': (3, 4),
    'P1': (3, 4),
    'P3': (3, 4),
    'Tr_imu_to_velo': (3, 4),
}
REQUIRED = ('P2', 'R0_rect', 'Tr_velo_to_cam')


@dataclass(frozen=True)
class KittiCalibration:
    """Matrices of one frame, all 4x4 float64, named as in the file.

    Attributes:
        P2: Rectified camera frame to pixels of the left colour camera. Its fourth column is not zero.
        R0_rect: Camera 0 to the rectified camera frame, in which the labels are given.
        Tr_velo_to_cam: LiDAR to camera 0.
        others: The remaining matrices of the file (``P0``, ``P1``, ``P3``, ``Tr_imu_to_velo``), where present.
    """

    P2: np.ndarray
    R0_rect: np.ndarray
    Tr_velo_to_cam: np.ndarray
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def cam2img(self) -> np.ndarray:
        """``P2`` under the name MMDetection3D gives it."""
        return self.P2

    @property
    def lidar2cam(self) -> np.ndarray:
        """(4, 4) LiDAR to the rectified camera frame: ``R0_rect @ Tr_velo_to_cam``."""
        return self.R0_rect @ self.Tr_velo_to_cam


def read_calib(path: str | os.PathLike[str]) -> KittiCalibration:
    """Read one calibration file of the KITTI object benchmark.

    Args:
        path: Text file with lines ``NAME: v v v ...``; matrices are row by row.

    Returns:
        The frame's matrices, extended to 4x4 with the rows and columns of the identity.

    Raises:
        DataError: If the file cannot be read, a needed matrix is missing, or a matrix has the wrong number of values
            or values that are not finite numbers.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'cannot read the calibration {path}: {error}') from error
    rows = dict(line.split(':', 1) for line in lines if ':' in line)
    matrices = {name: _parse(name, rows[name], path) for name in MATRIX_SHAPES if name in rows}
    missing = [name for name in REQUIRED if name not in matrices]
    if missing:
        raise DataError(
            f'{path} lacks {", ".join(missing)}; a KITTI object calibration has the lines {", ".join(MATRIX_SHAPES)}'
        )
    needed = {name: matrices.pop(name) for name in REQUIRED}
    return KittiCalibration(**needed, others=matrices)


def _parse(name: str, text: str, path: Path) -> np.ndarray:
    """Return one matrix of the file, extended to 4x4."""
    rows, columns = MATRIX_SHAPES[name]
    try:
        values = np.array([float(value) for value in text.split()])
    except ValueError as error:
        raise DataError(f'{path}: {name} holds something that is not a number: {error}') from error
    if values.size != rows * columns:
        raise DataError(f'{path}: {name} has {values.size} values, expected {rows * columns} ({rows}x{columns})')
    if not np.isfinite(values).all():
        raise DataError(f'{path}: {name} holds values that are not finite')
    matrix = np.eye(4)
    matrix[:rows, :columns] = values.reshape(rows, columns)
    return matrix

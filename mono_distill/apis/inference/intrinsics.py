"""Camera matrices from whatever a user has: arrays, JSON, KITTI calibrations, four numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.utils.errors import DataError, ShapeError

# The left colour camera in the object benchmark's calibrations and in those of the raw recordings.
_KITTI_NAMES = ('P2', 'P_rect_02')
_FORMS = 'a 3x3, 3x4 or 4x4 camera matrix, or the four numbers fx, fy, cx, cy'


def as_cam2img(values: Any, source: str = 'cam2img') -> NDArray[np.float64]:
    """Check intrinsics and return them as a 4x4 camera matrix.

    Args:
        values: 3x3 or 3x4 (KITTI's P2) or 4x4 matrix, camera frame to pixels of the whole picture, or ``(fx, fy, cx,
            cy)`` in pixels. No skew: pictures must be undistorted and rectified.
        source: Where the values come from, for messages.

    Returns:
        (4, 4) float64; rows and columns that were not given are those of the identity.

    Raises:
        ShapeError: The shape is another one.
        DataError: A value is not a finite number, a focal length is not positive, there is skew, or the last row is
            not that of a pinhole camera.

    Example:
        >>> as_cam2img((700, 710, 600, 180))[:3].tolist()
        [[700.0, 0.0, 600.0, 0.0], [0.0, 710.0, 180.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    """
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f'{source}: the intrinsics must be numbers: {_FORMS} ({error})') from error
    if matrix.shape not in ((4,), (3, 3), (3, 4), (4, 4)):
        raise ShapeError(f'{source}: the intrinsics have shape {matrix.shape}, expected {_FORMS}')
    if not np.isfinite(matrix).all():
        raise DataError(f'{source}: the intrinsics hold NaN or infinity: {matrix.tolist()}')
    full = np.eye(4)
    if matrix.ndim == 1:
        full[[0, 1, 0, 1], [0, 1, 2, 2]] = matrix
    else:
        full[tuple(slice(length) for length in matrix.shape)] = matrix
    _check_pinhole(full, source)
    return full


def _check_pinhole(matrix: NDArray[np.float64], source: str) -> None:
    fx, fy = matrix[0, 0], matrix[1, 1]
    if fx <= 0 or fy <= 0:
        raise DataError(f'{source}: the focal lengths must be positive pixels, got fx={fx:g} and fy={fy:g}')
    if not np.allclose(matrix[2, :3], (0, 0, 1), atol=1e-6):
        raise DataError(
            f'{source}: the third row of the camera matrix must be 0 0 1, got {matrix[2, :3].tolist()}; give it '
            'row by row, camera coordinates to pixels'
        )
    if abs(matrix[0, 1]) > 1e-6 * fx or abs(matrix[1, 0]) > 1e-6 * fy:
        raise DataError(
            f'{source}: the camera matrix has skew ({matrix[0, 1]:g}, {matrix[1, 0]:g}), which the decoding does not '
            'know; rectify the pictures and give the matrix of the rectified camera'
        )


def read_cam2img(source: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Read intrinsics named on a command line.

    Args:
        source: ``'fx,fy,cx,cy'``; a ``.json`` file with a matrix or with four numbers; or a KITTI calibration file, of
            which ``P2`` (raw recordings: ``P_rect_02``) is read.

    Returns:
        (4, 4) float64.

    Raises:
        DataError: There is no such file, or it holds something else.
        ShapeError: The number of values is wrong.
    """
    path = Path(source)
    if path.is_file():
        values = _from_json(path) if path.suffix.lower() == '.json' else _from_kitti(path)
        return as_cam2img(values, str(path))
    if ',' not in str(source):
        raise DataError(
            f"intrinsics '{source}': no such file; give fx,fy,cx,cy, a JSON file with a matrix, or a KITTI calibration"
        )
    try:
        values = [float(part) for part in str(source).split(',')]
    except ValueError as error:
        raise DataError(f"intrinsics '{source}': no such file, and no four numbers fx,fy,cx,cy ({error})") from error
    if len(values) != 4:
        raise ShapeError(f"intrinsics '{source}': {len(values)} numbers, expected the four of fx,fy,cx,cy")
    return as_cam2img(values, f"intrinsics '{source}'")


def _from_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise DataError(f'{path} cannot be read as JSON: {error}') from error


def _from_kitti(path: Path) -> NDArray[np.float64]:
    # mono_distill.datasets.kitti.calibration.read_calib wants the LiDAR's matrices too, which a camera does without.
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'cannot read the calibration {path}: {error}') from error
    rows = dict(line.split(':', 1) for line in lines if ':' in line)
    name = next((name for name in _KITTI_NAMES if name in rows), None)
    if name is None:
        raise DataError(f'{path} is no KITTI calibration: it has no line that begins with {" or ".join(_KITTI_NAMES)}')
    try:
        values = np.array([float(value) for value in rows[name].split()])
    except ValueError as error:
        raise DataError(f'{path}: {name} holds something that is not a number: {error}') from error
    if values.size != 12:
        raise ShapeError(f'{path}: {name} has {values.size} values, expected 12 (3x4)')
    return values.reshape(3, 4)


def intrinsics_of(cam2img: Any, names: Sequence[str]) -> list[NDArray[np.float64]]:
    """Return the camera matrix of every image.

    Args:
        cam2img: For all images one of what :func:`as_cam2img` and :func:`read_cam2img` take; or a folder that holds
            ``<name>.txt`` (KITTI) or ``<name>.json`` for each; or a sequence with one entry an image.
        names: Names of the images, without suffix.

    Returns:
        As many (4, 4) float64 matrices.

    Raises:
        DataError: An entry is missing or faulty.
        ShapeError: There are more or fewer entries than images, or an entry has the wrong shape.

    Example:
        >>> [matrix[0, 0] for matrix in intrinsics_of([np.eye(3), (2, 2, 0, 0)], ['a', 'b'])]
        [1.0, 2.0]
    """
    if isinstance(cam2img, (str, os.PathLike)):
        folder = Path(cam2img)
        if folder.is_dir():
            return [_in_folder(folder, name) for name in names]
        return [read_cam2img(cam2img)] * len(names)
    if _is_single(cam2img):
        return [as_cam2img(cam2img)] * len(names)
    entries = list(cam2img)
    if len(entries) != len(names):
        raise ShapeError(
            f'cam2img has {len(entries)} entries for {len(names)} images; give one for all, or one an image'
        )
    return [
        read_cam2img(entry) if isinstance(entry, (str, os.PathLike)) else as_cam2img(entry, f'cam2img of {name}')
        for name, entry in zip(names, entries, strict=True)
    ]


def _is_single(cam2img: Any) -> bool:
    """Whether this is one matrix (or four numbers) and not a sequence of them."""
    if hasattr(cam2img, 'ndim'):
        return cam2img.ndim < 3
    if not isinstance(cam2img, Sequence) or len(cam2img) == 0:
        return True  # as_cam2img says what is wrong with it
    first = cam2img[0]
    return not isinstance(first, (str, os.PathLike)) and np.ndim(first) < 2 and not _is_four(cam2img)


def _is_four(cam2img: Sequence[Any]) -> bool:
    """Whether every entry is fx, fy, cx, cy and the whole no 3x4 or 4x4 matrix, nor one with a mistake.

    A matrix without skew has zeros where the first two cameras would have fy and fx.
    """
    if any(np.ndim(entry) != 1 or len(entry) != 4 for entry in cam2img):
        return False
    return len(cam2img) not in (3, 4) or (cam2img[0][1] != 0 and cam2img[1][0] != 0)


def _in_folder(folder: Path, name: str) -> NDArray[np.float64]:
    for suffix in ('.txt', '.json'):
        path = folder / f'{name}{suffix}'
        if path.is_file():
            return read_cam2img(path)
    raise DataError(f'{folder} holds no intrinsics for image {name}: neither {name}.txt nor {name}.json')

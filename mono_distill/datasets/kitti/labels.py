"""KITTI label files (``label_2/000123.txt``): annotations of a frame, and detections in the same format."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import DataError, ShapeError, did_you_mean

# The order is that of MMDetection3D's infos; DontCare marks regions that are neither right nor wrong.
KITTI_CLASSES = ('Pedestrian', 'Cyclist', 'Car', 'Van', 'Truck', 'Person_sitting', 'Tram', 'Misc')
DONT_CARE = 'DontCare'
CATEGORIES = {name: label for label, name in enumerate(KITTI_CLASSES)} | {DONT_CARE: -1}

# Columns of a line: class, truncated, occluded, alpha, 4 box, 3 size (h w l), 3 location, rotation_y[, score].
ANNOTATION_COLUMNS = 15
DETECTION_COLUMNS = 16


@dataclass(frozen=True)
class KittiLabels:
    """Objects of one frame in the order of the file; N is their number, ``DontCare`` regions included.

    Attributes:
        name: (N,) class names.
        truncated: (N,) float64 share outside the image, 0 to 1; -1 where unknown.
        occluded: (N,) int64: 0 fully visible, 1 partly, 2 largely occluded, 3 unknown; -1 for DontCare.
        alpha: (N,) float64 observation angle as annotated, radians; -10 for DontCare.
        bbox: (N, 4) float64 annotated 2D box x1, y1, x2, y2, pixels counted from zero.
        dimensions: (N, 3) float64 height, width, length in metres (the order of the file).
        location: (N, 3) float64 centre of the bottom face, rectified camera frame (x right, y down, z forward), metres.
        rotation_y: (N,) float64 rotation about the camera's y axis, radians.
        score: (N,) float64 confidence of a detection; 0 for annotations, which have no such column.
    """

    name: np.ndarray
    truncated: np.ndarray
    occluded: np.ndarray
    alpha: np.ndarray
    bbox: np.ndarray
    dimensions: np.ndarray
    location: np.ndarray
    rotation_y: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.name)

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64 class numbers of :data:`CATEGORIES`; -1 for DontCare."""
        return np.array([CATEGORIES[name] for name in self.name], dtype=np.int64)

    @property
    def bboxes_3d(self) -> np.ndarray:
        """(N, 7) boxes x, y_bottom, z, l, h, w, ry as MMDetection3D's ``CameraInstance3DBoxes`` wants them."""
        return np.concatenate([self.location, self.dimensions[:, [2, 0, 1]], self.rotation_y[:, None]], axis=1)


def read_label(path: str | os.PathLike[str]) -> KittiLabels:
    """Read one label file; lines have 15 columns, or 16 with a score (then it holds detections).

    Args:
        path: Text file, one object a line. An empty file is a frame without objects.

    Returns:
        The frame's objects.

    Raises:
        DataError: If the file cannot be read, or a line has another number of columns, a class that KITTI does not
            know, or a value that is not a finite number.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f'cannot read the labels {path}: {error}') from error
    names: list[str] = []
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            name, values = _parse_line(line, f'{path}, line {number}')
            names.append(name)
            rows.append(values)
    table = np.array(rows, dtype=np.float64).reshape(-1, DETECTION_COLUMNS - 1)
    return KittiLabels(
        name=np.array(names, dtype=np.str_),
        truncated=table[:, 0],
        occluded=table[:, 1].astype(np.int64),
        alpha=table[:, 2],
        bbox=table[:, 3:7],
        dimensions=table[:, 7:10],
        location=table[:, 10:13],
        rotation_y=table[:, 13],
        score=table[:, 14],
    )


def write_label(path: str | os.PathLike[str], labels: KittiLabels, *, with_score: bool = True) -> None:
    """Write objects as a KITTI label file (detections: with the score column, as the benchmark's server wants them).

    Args:
        path: File to write, whole or not at all.
        labels: Objects in the rectified camera frame.
        with_score: Whether to write the 16th column; annotations have none.

    Raises:
        ShapeError: If the arrays of ``labels`` differ in length.
        DataError: If a value is not finite; the benchmark's tools stop at such a file.
    """
    lengths = {name: len(getattr(labels, name)) for name in labels.__dataclass_fields__}
    if len(set(lengths.values())) > 1:
        raise ShapeError(f'every field needs one entry per object, got {lengths}')
    columns = [labels.bbox, labels.dimensions, labels.location, labels.rotation_y[:, None], labels.score[:, None]]
    numbers = np.concatenate([labels.alpha[:, None], *columns], axis=1)
    if not (np.isfinite(numbers).all() and np.isfinite(labels.truncated).all()):
        raise DataError(f'refusing to write {path}: an object has a value that is not finite')
    if not with_score:
        numbers = numbers[:, :-1]
    lines = [
        f'{name} {truncated:.2f} {int(occluded)} ' + ' '.join(f'{value:.4f}' for value in row)
        for name, truncated, occluded, row in zip(labels.name, labels.truncated, labels.occluded, numbers, strict=True)
    ]
    with atomic_path(path) as temporary:
        temporary.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')


def kitti_difficulty(bbox: np.ndarray, truncated: np.ndarray, occluded: np.ndarray) -> np.ndarray:
    """Return the difficulty that MMDetection3D stores in its infos.

    Source: ``add_difficulty_to_annos`` of MMDetection3D's ``kitti_data_utils.py``. The official mono detectors add one
    pixel to the height and accept the border itself (height + 1 >= 40 or 25), so objects of 24 to 25 pixels differ;
    their level follows from the annotated 2D box, truncation and occlusion, which the infos keep as well.

    Args:
        bbox: (N, 4) annotated 2D boxes x1, y1, x2, y2, pixels.
        truncated: (N,) annotated truncation.
        occluded: (N,) annotated occlusion.

    Returns:
        (N,) int64: 0 easy, 1 moderate, 2 hard, -1 harder than that.

    Example:
        >>> kitti_difficulty(np.array([[0, 0, 9, 41], [0, 0, 9, 30], [0, 0, 9, 25]]), np.zeros(3), np.array([0, 2, 0]))
        array([ 0,  2, -1])
    """
    height = bbox[:, 3] - bbox[:, 1]
    difficulty = np.full(len(bbox), -1, dtype=np.int64)
    # From hard to easy: every level's limits lie inside those of the level before it.
    for level, min_height, max_occluded, max_truncated in ((2, 25, 2, 0.5), (1, 25, 1, 0.3), (0, 40, 0, 0.15)):
        inside = (height > min_height) & (occluded <= max_occluded) & (truncated <= max_truncated)
        difficulty[inside] = level
    return difficulty


def _parse_line(line: str, where: str) -> tuple[str, list[float]]:
    """Return the class and the 15 numbers of one line (score 0 where there is none)."""
    name, *words = line.split()
    if len(words) + 1 not in (ANNOTATION_COLUMNS, DETECTION_COLUMNS):
        raise DataError(
            f'{where}: {len(words) + 1} columns, expected {ANNOTATION_COLUMNS}, or {DETECTION_COLUMNS} with a score'
        )
    if name not in CATEGORIES:
        raise DataError(f'{where}: unknown class {name!r}; {did_you_mean(name, CATEGORIES)}')
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise DataError(f'{where}: not a number: {error}') from error
    if not np.isfinite(values).all():
        raise DataError(f'{where}: a value is not finite')
    if not values[1].is_integer():
        raise DataError(f'{where}: the occlusion must be a whole number, got {words[1]}')
    return name, values if len(words) == DETECTION_COLUMNS - 1 else [*values, 0.0]

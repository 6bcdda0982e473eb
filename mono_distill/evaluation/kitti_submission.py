"""KITTI result files: one text file per frame, as the benchmark's server and its development kit read them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mono_distill.evaluation.kitti_eval import KittiAnnos
from mono_distill.utils.atomic import atomic_path

NUMBERS = 13
"""Numbers of a line after type, truncated and occluded."""


def write_results(frames: Mapping[str, KittiAnnos], folder: str | os.PathLike[str], decimals: int = 4) -> list[Path]:
    """Write ``folder/<frame>.txt`` for every frame, an empty file for a frame without detections.

    Every file is complete or absent, also when the process is killed.

    Args:
        frames: Detections by frame name.
        folder: Where the files go; made if it does not exist.
        decimals: Digits after the point. The official codes of monocular detectors write 2, mmdet3d writes 4.

    Returns:
        Text files of other frames that lie in the folder, left from an earlier run.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for sample_id, annos in frames.items():
        with atomic_path(folder / f'{sample_id}.txt') as temporary:
            temporary.write_text(result_text(annos, decimals))
    return sorted(path for path in folder.glob('*.txt') if path.stem not in frames)


def result_text(annos: KittiAnnos, decimals: int = 4) -> str:
    """Return the lines of one frame: type, truncated, occluded, alpha, bbox, h, w, l, x, y, z, rotation_y, score.

    Truncation and occlusion are not predicted and stand as -1.
    """
    line = '%s -1 -1' + f' %.{decimals}f' * NUMBERS + '\n'
    return ''.join(line % (name, *row) for name, row in zip(annos['name'], _numbers(annos), strict=True))


def rounded(frames: Sequence[KittiAnnos], decimals: int) -> list[KittiAnnos]:
    """Return the detections as someone reads them who reads the files of :func:`write_results`.

    The rounding is that of the text: numpy's own differs for numbers such as 2.675, of which the binary value lies
    below the tie.
    """
    if not frames:
        return []
    numbers = np.concatenate([_numbers(annos) for annos in frames])
    numbers = np.char.mod(f'%.{decimals}f', numbers).astype(np.float64).reshape(-1, NUMBERS)
    ends = np.cumsum([len(annos['name']) for annos in frames])
    return [
        {
            **annos,
            'alpha': rows[:, 0],
            'bbox': rows[:, 1:5],
            'dimensions': rows[:, [7, 5, 6]],
            'location': rows[:, 8:11],
            'rotation_y': rows[:, 11],
            'score': rows[:, 12],
        }
        for annos, rows in zip(frames, np.split(numbers, ends[:-1]), strict=True)
    ]


def _numbers(annos: KittiAnnos) -> np.ndarray:
    """The (N, 13) numbers of the lines; dimensions turn from l, h, w to the file's h, w, l."""
    columns = (
        annos['alpha'][:, None],
        annos['bbox'],
        annos['dimensions'][:, [1, 2, 0]],
        annos['location'],
        annos['rotation_y'][:, None],
        annos['score'][:, None],
    )
    return np.concatenate(columns, axis=1)

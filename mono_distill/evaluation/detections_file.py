"""All detections of a split in one small file."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from mono_distill.evaluation.kitti_eval import KittiAnnos
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import DataError

_COLUMNS = {'bbox': 4, 'location': 3, 'dimensions': 3, 'rotation_y': 1, 'alpha': 1, 'score': 1}


def save_detections(path: str | os.PathLike[str], frames: Mapping[str, KittiAnnos]) -> None:
    """Write the detections of every frame.

    The file holds ``frames`` (F,) names, ``counts`` (F,) detections of each, ``name`` (N,) classes and ``values`` (N,
    13) float64: 2D box, location, size (l, h, w), rotation_y, alpha and score, in the order of the frames.

    Args:
        path: The ``.npz`` file.
        frames: Detections by name of the frame.
    """
    rows = [
        np.concatenate([np.reshape(annos[key], (-1, width)) for key, width in _COLUMNS.items()], axis=1)
        for annos in frames.values()
    ]
    names = [annos['name'].astype(str) for annos in frames.values()]
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            frames=np.array(list(frames), dtype=str),
            counts=np.array([len(part) for part in rows], dtype=np.int64),
            name=np.concatenate(names) if names else np.zeros(0, dtype=str),
            values=np.concatenate(rows) if rows else np.zeros((0, sum(_COLUMNS.values()))),
        )


def load_detections(path: str | os.PathLike[str]) -> dict[str, KittiAnnos]:
    """Read what :func:`save_detections` wrote.

    Raises:
        DataError: The file is missing or has another content.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            frames, counts, name, values = (file[key] for key in ('frames', 'counts', 'name', 'values'))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f'{path} is no file of detections ({error}); evaluate the run again') from error
    ends = np.cumsum(counts)
    return {
        str(frame): _annos(name[end - count : end], values[end - count : end])
        for frame, count, end in zip(frames, counts, ends, strict=True)
    }


def _annos(name: np.ndarray, values: np.ndarray) -> KittiAnnos:
    annos: KittiAnnos = {'name': name, 'truncated': np.zeros(len(name)), 'occluded': np.zeros(len(name), np.int64)}
    start = 0
    for key, width in _COLUMNS.items():
        part = values[:, start : start + width]
        annos[key] = part[:, 0] if width == 1 else part
        start += width
    return annos

"""What a prepared KITTI root holds: splits, frames, cars that count."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mono_distill.datasets.kitti.labels import kitti_difficulty
from mono_distill.datasets.kitti.layout import KittiFolder
from mono_distill.evaluation.kitti_annos import KittiFrame, load_frames

_MODERATE = 1


def splits(root: Path) -> tuple[str, str]:
    """Return the splits to train and to evaluate on; both ``'trainval'`` where a root has no lists of its own."""
    if all(info_file(root, split).is_file() for split in ('train', 'val')):
        return 'train', 'val'
    return 'trainval', 'trainval'


def info_file(root: Path, split: str) -> Path:
    """Return the path of an info file."""
    return root / f'kitti_infos_{split}.pkl'


def label_count(root: Path) -> int:
    """Return the number of labelled frames of a root, prepared or not."""
    return len(KittiFolder(root).sample_ids('training'))


def split_frames(root: Path, split: str) -> dict[str, KittiFrame]:
    """Return the prepared frames of a split by name.

    Raises:
        DataError: The info file is missing or broken.
    """
    return load_frames(info_file(root, split))


def counted_cars(frames: dict[str, KittiFrame], image_scale: float) -> int:
    """Return how many cars of some frames count at moderate difficulty.

    Args:
        frames: Frames by name.
        image_scale: Size of the images relative to KITTI's.
    """
    return sum(int(countable(frame, image_scale).sum()) for frame in frames.values())


def countable(frame: KittiFrame, image_scale: float) -> np.ndarray:
    """Return (N,) whether an object is a car that counts at moderate difficulty."""
    annos = frame.annos
    level = kitti_difficulty(annos['bbox'] / image_scale, annos['truncated'], annos['occluded'])
    return (annos['name'] == 'Car') & (level >= 0) & (level <= _MODERATE)

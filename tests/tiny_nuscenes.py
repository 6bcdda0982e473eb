"""A prepared nuScenes root of the embedded world: a scene for training, one for validation, three key-frames each."""

from __future__ import annotations

import fcntl
import pickle
from pathlib import Path
from typing import Any

from mono_distill.datasets.nuscenes.prepare import prepare_nuscenes
from mono_distill.synthetic.nuscenes.options import NuScenesOptions
from mono_distill.synthetic.nuscenes.writer import write_nuscenes

VERSION = 'v1.0-mini'
SCENES = {'train': 'scene-0061', 'val': 'scene-0103'}
KEYFRAMES = 3
IMAGE_SHAPE = (180, 320)


def tiny_options(root: Path) -> NuScenesOptions:
    """Return what the data set consists of."""
    return NuScenesOptions(root, scenes=2, keyframes=KEYFRAMES, seed=4, image_scale=0.2)


def write_prepared_nuscenes(root: Path) -> Path:
    """Write the data set and its infos; what is there already is kept, and processes take turns."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with open(root.parent / f'{root.name}.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / 'nuscenes_infos_val.pkl').is_file():
            write_nuscenes(tiny_options(root), resume=True)
            prepare_nuscenes(root)
    return root


def load_infos(root: Path, split: str) -> dict[str, Any]:
    """Return the content of an info file."""
    return pickle.loads((root / f'nuscenes_infos_{split}.pkl').read_bytes())


def linked_root(source: Path, root: Path) -> Path:
    """Return a folder with links to every file of a root, to remove or replace single files in."""
    for path in source.rglob('*'):
        if path.is_file():
            link = root / path.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return root

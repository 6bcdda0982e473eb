"""Prepare a nuScenes root: one info file per split."""

from __future__ import annotations

import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mono_distill.datasets.nuscenes.infos import CATEGORIES, Info, info_file, scene_infos
from mono_distill.datasets.nuscenes.layout import FileCheck, check_root
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import ConfigError, DataError

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

Progress = Callable[[Iterable[Any], int], Iterable[Any]]


def prepare_nuscenes(
    root: str | os.PathLike[str],
    *,
    version: str | None = None,
    out: str | os.PathLike[str] | None = None,
    check_files: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write ``nuscenes_infos_{train,val}.pkl``, or ``_test.pkl`` of a test version.

    The split of a scene goes by its name in the devkit's lists; a scene in none of them is left out and reported. The
    files appear whole or not at all.

    Args:
        root: nuScenes root (the devkit's ``dataroot``).
        version: Folder of the tables; ``None`` takes the only one there is.
        out: Folder to write into instead of ``root``.
        check_files: Whether every file that the infos name must exist.
        progress: Wraps the scenes with their number to show progress, as :class:`tqdm.tqdm` does.

    Returns:
        Report: ``root, version, splits`` (each with ``file, scenes, samples, boxes`` by class) and ``left_out``, the
        names of scenes of no split.

    Raises:
        ConfigError: ``root`` is no nuScenes root or has not that version.
        DataError: A table, a map or a sensor's file is missing, a key-frame lacks a sensor, no scene belongs to a
            split, or a file cannot be written.
    """
    root = Path(root)
    version = check_root(root, version)
    nusc = open_nuscenes(root, version)
    files = FileCheck(root, enabled=check_files)
    scenes = {split: [scene for scene in nusc.scene if scene['name'] in names] for split, names in splits_of(version)}
    chosen = [(split, scene) for split, members in scenes.items() for scene in members]
    names = {scene['name'] for _, scene in chosen}
    left_out = sorted(scene['name'] for scene in nusc.scene if scene['name'] not in names)
    if not chosen:
        raise DataError(
            f'{root}: no scene of {version} belongs to its splits ({", ".join(scenes)}), for instance {left_out[0]}; '
            'splits go by the names of scenes in nuscenes.utils.splits'
        )
    infos: dict[str, list[Info]] = {split: [] for split in scenes}
    for split, scene in progress(chosen, len(chosen)) if progress else chosen:
        infos[split] += scene_infos(nusc, scene, files, annotated=split != 'test')
    files.raise_missing()
    report: dict[str, Any] = {'root': str(root), 'version': version, 'left_out': left_out, 'splits': {}}
    for split, members in scenes.items():
        path = Path(out or root) / f'nuscenes_infos_{split}.pkl'
        if members:
            _write(path, info_file(infos[split], version))
        report['splits'][split] = {
            'file': str(path) if members else None,
            'scenes': len(members),
            'samples': len(infos[split]),
            'boxes': _boxes_by_class(infos[split]),
        }
    return report


def splits_of(version: str) -> list[tuple[str, frozenset[str]]]:
    """Return the splits of a version, each with the names of its scenes in the devkit.

    A version whose name ends in ``mini`` has the mini splits, one that ends in ``test`` the test split, any other the
    full ones.

    Example:
        >>> [(split, len(names)) for split, names in splits_of('v1.0-mini')]
        [('train', 8), ('val', 2)]
    """
    # Imported late: it loads the whole devkit.
    from nuscenes.utils.splits import create_splits_scenes

    scenes = create_splits_scenes()
    if version.endswith('test'):
        return [('test', frozenset(scenes['test']))]
    prefix = 'mini_' if version.endswith('mini') else ''
    return [(split, frozenset(scenes[prefix + split])) for split in ('train', 'val')]


def open_nuscenes(root: Path, version: str) -> NuScenes:
    """Load the tables.

    Raises:
        DataError: A table is damaged or lacks a field, or a map's file is missing.
    """
    from nuscenes.nuscenes import NuScenes

    try:
        return NuScenes(version=version, dataroot=str(root), verbose=False)
    except AssertionError as error:
        # The devkit asserts that the maps' files exist.
        raise DataError(f'{root}: {error}; unpack the archive of the metadata again, it holds maps/ too') from error
    except (ValueError, KeyError, OSError) as error:
        raise DataError(
            f'the tables in {root / version} cannot be read ({error!r}); unpack the archive of the metadata again'
        ) from error


def _boxes_by_class(infos: Iterable[Info]) -> dict[str, int]:
    counts = Counter(instance['bbox_label_3d'] for info in infos for instance in info.get('instances', ()))
    return {name: counts[number] for name, number in CATEGORIES.items()}


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        with atomic_path(path) as temporary, open(temporary, 'wb') as file:
            pickle.dump(content, file, protocol=4)
    except PermissionError as error:
        raise ConfigError(f'cannot write {path} ({error.strerror}); give another folder with --out') from error
    except OSError as error:
        raise DataError(f'cannot write {path}: {error}') from error

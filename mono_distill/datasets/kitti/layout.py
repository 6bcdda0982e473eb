"""The folder layout of the KITTI object benchmark.

``ROOT/{training,testing}/{image_2,calib,label_2,velodyne}/000123.{png,txt,txt,bin}`` and ``ROOT/ImageSets/*.txt``.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from mono_distill.utils.errors import ConfigError, DataError

SUBSETS = ('training', 'testing')
SPLITS = {'train': 'training', 'val': 'training', 'trainval': 'training', 'test': 'testing'}
SOURCE_PARTS = {'image_2': '.png', 'calib': '.txt', 'label_2': '.txt', 'velodyne': '.bin'}
DEPTH_PARTS = {'dense': 'depth_dense', 'sparse': 'depth_sparse'}
SUFFIXES = SOURCE_PARTS | dict.fromkeys(DEPTH_PARTS.values(), '.png')


@dataclass(frozen=True)
class KittiFolder:
    """A KITTI root and the files in it.

    Attributes:
        root: The folder that holds ``training`` and ``testing``.
    """

    root: Path

    def relative(self, subset: str, part: str, sample_id: str) -> str:
        """Return a file's path below the root, with forward slashes.

        Example:
            >>> KittiFolder(Path('kitti')).relative('training', 'image_2', '000123')
            'training/image_2/000123.png'
        """
        return f'{subset}/{part}/{sample_id}{SUFFIXES[part]}'

    def path(self, subset: str, part: str, sample_id: str) -> Path:
        """Return the path of a file."""
        return self.root / self.relative(subset, part, sample_id)

    def sample_ids(self, subset: str) -> list[str]:
        """List the frames of a subset in ascending order: all with an image, in training also all with labels.

        Files whose name is not a number (hidden files, results of other tools) are not frames.
        """
        parts = ('image_2', 'label_2') if subset == 'training' else ('image_2',)
        found: set[str] = set()
        for part in parts:
            folder = self.root / subset / part
            if folder.is_dir():
                found.update(entry.stem for entry in folder.iterdir() if entry.suffix == SUFFIXES[part])
        return sorted(name for name in found if name.isascii() and name.isdigit())

    def split_ids(self, split: str) -> list[str] | None:
        """Read ``ImageSets/<split>.txt``: one frame number a line.

        Returns:
            The listed frames (six digits) without repetitions, or ``None`` if the file does not exist.

        Raises:
            DataError: If a line is not a number.
        """
        path = self.root / 'ImageSets' / f'{split}.txt'
        if not path.is_file():
            return None
        words = path.read_text(encoding='utf-8').split()
        faulty = [word for word in words if not (word.isascii() and word.isdigit())]
        if faulty:
            raise DataError(f'{path}: {faulty[0]!r} is not a frame number such as 000123')
        return list(dict.fromkeys(f'{int(word):06d}' for word in words))


def check_source(folder: KittiFolder) -> None:
    """Refuse a folder that holds no KITTI frames.

    Raises:
        ConfigError: If the folder is missing or has no numbered image in either subset.
    """
    if not folder.root.is_dir():
        raise ConfigError(f'--root {folder.root} is not a folder')
    if not any(folder.sample_ids(subset) for subset in SUBSETS):
        raise ConfigError(
            f'{folder.root} holds no frames; expected files like training/image_2/000123.png, '
            'training/calib/000123.txt, training/label_2/000123.txt and training/velodyne/000123.bin below it'
        )


def open_output(source: KittiFolder, out: Path | None) -> KittiFolder:
    """Return the folder to write into; a separate one becomes a KITTI root of its own by links to the source.

    Args:
        source: The folder that is read.
        out: Where to write; ``None`` means into the source itself.

    Raises:
        ConfigError: If the folder cannot be written, or something else stands where a link belongs.
    """
    if out is None or out.resolve() == source.root.resolve():
        _check_writable(source)
        return source
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in _linked_names(source):
            _link(out / name, source.root / name)
    except OSError as error:
        raise ConfigError(f'cannot prepare the output folder {out}: {error}') from error
    return KittiFolder(out)


def remove_stale_temporaries(folder: KittiFolder, *, older_than: float) -> None:
    """Remove temporary depth maps that a killed run left behind.

    Args:
        folder: The folder that is written.
        older_than: Time stamp (seconds since the epoch); newer files may belong to a run that is still at work.
    """
    for subset in SUBSETS:
        for part in DEPTH_PARTS.values():
            for path in (folder.root / subset / part).glob('.*.tmp.png'):
                if path.stat().st_mtime < older_than:
                    path.unlink(missing_ok=True)


def _linked_names(source: KittiFolder) -> list[str]:
    names = [f'{subset}/{part}' for subset in SUBSETS for part in SOURCE_PARTS] + ['ImageSets']
    return [name for name in names if (source.root / name).is_dir()]


def _link(link: Path, target: Path) -> None:
    if link.resolve() == target.resolve():
        return
    if link.is_symlink() or link.exists():
        raise ConfigError(f'{link} exists and is not a link to {target}; give an empty folder as --out')
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target.resolve(), target_is_directory=True)


def _check_writable(folder: KittiFolder) -> None:
    for path in (folder.root, *(folder.root / subset for subset in SUBSETS)):
        if not path.is_dir():
            continue
        # root may write anywhere; a folder without any write bit is still meant to stay as it is.
        protected = not stat.S_IMODE(path.stat().st_mode) & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
        if protected or not os.access(path, os.W_OK):
            raise ConfigError(f'{path} is read-only; give another folder to write into with --out')

"""The folder layout of nuScenes.

``ROOT/<version>/*.json`` (13 tables), ``ROOT/maps``, ``ROOT/samples/<sensor>/`` (key-frames) and
``ROOT/sweeps/<sensor>/`` (what lies between them).
"""

from __future__ import annotations

import os
from pathlib import Path

from mono_distill.utils.errors import ConfigError, DataError, did_you_mean

TABLES = (
    'category', 'attribute', 'visibility', 'instance', 'sensor', 'calibrated_sensor', 'ego_pose', 'log', 'scene',
    'sample', 'sample_data', 'sample_annotation', 'map',
)  # fmt: skip
# Files named in an error that can concern hundreds of thousands.
NAMED_FILES = 3


def versions_of(root: Path) -> list[str]:
    """Return the names of the folders below ``root`` that hold a table of samples."""
    return sorted(entry.name for entry in root.iterdir() if (entry / 'sample.json').is_file())


def check_root(root: str | os.PathLike[str], version: str | None = None) -> str:
    """Return the version to read, after a look at whether the folder is a nuScenes root that has it.

    Args:
        root: The folder that holds ``samples`` and the folder of tables.
        version: Name of the folder of tables; ``None`` takes the only one there is.

    Raises:
        ConfigError: The folder is missing, is no nuScenes root, has not this version, or has several and none is named.
        DataError: The version lacks a table.
    """
    root = Path(root)
    if not root.is_dir():
        raise ConfigError(f'nuScenes root {root} is not a folder')
    found = versions_of(root)
    expected = 'expected <version>/*.json (the tables), maps/, samples/ and sweeps/ below it'
    if version is None:
        if not found:
            raise ConfigError(f'{root} is not a nuScenes root: no folder in it has a sample.json; {expected}')
        if len(found) > 1:
            raise ConfigError(f'{root} holds the versions {", ".join(found)}; choose one with --version')
        version = found[0]
    folder = root / version
    if not folder.is_dir():
        raise ConfigError(f'{root} has no version {version!r}: {did_you_mean(version, found)} {expected}')
    missing = [name for name in TABLES if not (folder / f'{name}.json').is_file()]
    if missing:
        raise DataError(
            f'{folder} lacks the table{"s" * (len(missing) > 1)} {", ".join(f"{name}.json" for name in missing)}; '
            'unpack the metadata archive of this version again'
        )
    return version


class FileCheck:
    """Whether files below a root exist; each folder is listed once, because there are hundreds of thousands of files.

    Args:
        root: nuScenes root.
        enabled: ``False`` takes every file for present.
    """

    def __init__(self, root: str | os.PathLike[str], *, enabled: bool = True) -> None:
        self.root = Path(root)
        self.enabled = enabled
        self.missing: dict[str, list[str]] = {}
        self._folders: dict[str, set[str]] = {}

    def expect(self, kind: str, path: str) -> None:
        """Note ``path`` (below the root) as missing if it is not there; ``kind`` says what it is."""
        if not self.enabled:
            return
        folder, name = os.path.split(path)
        if folder not in self._folders:
            try:
                self._folders[folder] = set(os.listdir(self.root / folder))
            except OSError:
                self._folders[folder] = set()
        if name not in self._folders[folder]:
            self.missing.setdefault(kind, []).append(path)

    def raise_missing(self) -> None:
        """Refuse a root with missing files.

        Raises:
            DataError: Names the first missing files of every kind and what to do.
        """
        if not self.missing:
            return
        lines = [
            f'{len(paths)} {kind} file{"s are" if len(paths) > 1 else " is"} missing, '
            f'{"the first are" if len(paths) > NAMED_FILES else "namely"} {", ".join(paths[:NAMED_FILES])}'
            for kind, paths in self.missing.items()
        ]
        raise DataError(
            f'{self.root}: {"; ".join(lines)}. Unpack the archives that hold them (samples and sweeps of every blob), '
            'or build the infos of what is not there all the same with --skip-file-checks'
        )

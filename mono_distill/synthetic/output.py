"""The folder that a data set is written into: refused unless empty or to be resumed; files whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import ConfigError, DataError


def with_fingerprint(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest's content with a digest of it; ``content['options']`` is what the files depend on.

    Example:
        >>> with_fingerprint({'options': {'seed': 0}})['fingerprint'][:8]
        'a6c37514'
    """
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {**content, 'fingerprint': digest}


def open_output(out: Path, manifest_name: str, manifest: Mapping[str, Any], *, resume: bool) -> None:
    """Prepare an output folder and note in it what will be in it.

    Args:
        out: The folder; made if it does not exist.
        manifest_name: File in it that says what was begun.
        manifest: Its content, with ``fingerprint`` and ``options``.
        resume: Whether to go on with a folder that was begun with the same manifest.

    Raises:
        ConfigError: If the folder holds something and is not to be resumed, or was begun with other options.
        DataError: If it cannot be read or written.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f'{out} is a file; give a folder that is empty or does not exist')
    if out.is_dir() and any(out.iterdir()):
        if not resume:
            raise ConfigError(
                f'{out} is not empty; give another folder, or --resume to complete a run that was stopped'
            )
        _check_manifest(out / manifest_name, manifest)
        # There is no other writer: what carries a temporary name was left by one that was killed.
        for path in out.rglob('.*.tmp*'):
            path.unlink(missing_ok=True)
    write_bytes(out / manifest_name, (json.dumps(manifest, indent=2) + '\n').encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        DataError: If it cannot be written; if the disk is full, it says how much is free.
    """
    with blame_disk(path), atomic_path(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def blame_disk(path: Path) -> Iterator[None]:
    """Turn an error of the operating system while ``path`` is written into a DataError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason += f' ({_free_megabytes(path)} MB are free); make room and run the same command with --resume'
        raise DataError(f'cannot write {path}: {reason}') from error


def _check_manifest(path: Path, wanted: Mapping[str, Any]) -> None:
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise ConfigError(
            f'{path.parent} holds no {path.name}, so there is nothing to resume; give an empty folder'
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f'cannot read {path}: {error}; give an empty folder') from error
    if not isinstance(found, dict) or not isinstance(found.get('options'), dict):
        raise DataError(f'{path} does not say what was begun; give an empty folder')
    if found.get('fingerprint') != wanted['fingerprint']:
        before, now = found['options'], wanted['options']
        changed = [
            f'{name} {before.get(name)} (now {value})' for name, value in now.items() if before.get(name) != value
        ]
        what = ', '.join(changed) or 'another version of this package'
        raise ConfigError(f'{path.parent} was begun with {what}; repeat the options or give another folder')


def _free_megabytes(path: Path) -> int:
    folder = next((parent for parent in path.parents if parent.is_dir()), Path())
    return round(shutil.disk_usage(folder).free / 1e6)

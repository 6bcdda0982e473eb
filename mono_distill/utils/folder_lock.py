"""One process at a time in a folder of work."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mono_distill.utils.errors import ConfigError


@contextmanager
def locked_folder(folder: Path, what: str, option: str) -> Iterator[int]:
    """Claim a folder for this process; the claim ends with the block, or with the process.

    Args:
        folder: Is made if it does not exist.
        what: What else may be at work there, for the message: ``'study'``.
        option: The command-line option that names the folder.

    Yields:
        An open file that holds the claim. A child process that inherits it keeps the claim.

    Raises:
        ConfigError: Another process has claimed the folder, or it cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as name, locked_folder(Path(name), 'study', '--work') as handle:
        ...     handle > 0
        True
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / '.lock', os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ConfigError(f'{option} {folder} cannot be written: {error}') from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f'another {what} is at work in {folder}: wait for it, stop it, or name another folder with {option}'
            ) from error
        yield handle
    finally:
        os.close(handle)

"""Writing published weights: a file that is whole or absent, the same bytes for the same content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mono_distill.compat.safetensors_files import SUFFIX, write_safetensors
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import ConfigError


def write_weights(path: Path, state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write ``state_dict`` and ``meta``, as safetensors if the name ends so and else as ``torch.save`` does.

    Args:
        path: The file; its folder is made.
        state: The weights; tensors that share no memory.
        meta: Anything that JSON can hold.
    """
    with atomic_path(path) as temporary:
        if path.suffix == SUFFIX:
            write_safetensors(temporary, state, meta)
        else:
            # Given a path, torch writes the temporary name into the file.
            with temporary.open('wb') as stream:
                torch.save({'meta': dict(meta), 'state_dict': dict(state)}, stream)


def check_output(path: Path, inputs: tuple[Path, ...], suffixes: tuple[str, ...] = ('.pth', SUFFIX)) -> None:
    """Refuse a name that would destroy an input or hide what the file is.

    Raises:
        ConfigError: The name has another ending, is a folder, or is one of the inputs.
    """
    if path.suffix not in suffixes:
        raise ConfigError(f'--out {path}: the name must end in {" or ".join(suffixes)}')
    if path.is_dir():
        raise ConfigError(f'--out {path} is a folder; name a file')
    if any(path.resolve() == given.resolve() for given in inputs):
        raise ConfigError(f'--out {path} is the input itself; name another file')


def sha256(path: Path) -> str:
    """Return the checksum of a file, as ``sha256sum`` prints it."""
    digest = hashlib.sha256()
    with path.open('rb') as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

"""Checkpoints as safetensors: weights, and what goes with them as JSON in the file's metadata.

mmengine knows only torch's own format. A safetensors file cannot hold code, and opens without reading all of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mono_distill.utils.errors import CheckpointError

SUFFIX = '.safetensors'
# safetensors' metadata are strings. Ours is a single one: several are written in random order.
META_KEY = 'mono_distill_meta'


def read_safetensors(path: str | os.PathLike[str], device: str = 'cpu') -> dict[str, Any]:
    """Read a file as a checkpoint.

    Args:
        path: A file of :func:`write_safetensors`, or any other safetensors file.
        device: Where tensors go.

    Returns:
        ``state_dict``, and ``meta``: what was written, empty for files of others.

    Raises:
        CheckpointError: The file is damaged or of another type, or safetensors is not installed.
    """
    safetensors = _library()
    try:
        with safetensors.safe_open(os.fspath(path), framework='pt', device=device) as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dictionary)
            meta = json.loads((file.metadata() or {}).get(META_KEY, '{}'))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f'{path} cannot be read as safetensors: {error}; download or write the file again'
        ) from error
    return {'state_dict': state, 'meta': meta}


def write_safetensors(path: str | os.PathLike[str], state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write weights and what goes with them.

    Args:
        path: The file.
        state: Tensors that share no memory.
        meta: Anything that JSON can hold.

    Raises:
        CheckpointError: safetensors is not installed.
    """
    _library()
    from safetensors.torch import save_file

    save_file(dict(state), Path(path), metadata={META_KEY: json.dumps(meta)})


def _library() -> Any:
    try:
        import safetensors
    except ImportError as error:
        raise CheckpointError(
            'safetensors files need the package safetensors: pip install safetensors, or use a .pth file'
        ) from error
    return safetensors

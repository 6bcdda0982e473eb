"""Load checkpoints without running what is in them.

Symptom: under torch >= 2.6, ``torch.load`` refuses every checkpoint that mmengine saves ("Weights only load failed …
Unsupported global: HistoryBuffer"), so nothing can be resumed or tested; before, it ran whatever code a file contains.
Affected: mmengine <= 0.10.7 with torch >= 2.6. Can be removed when mmengine loads its own checkpoints safely (its
development version loads them unsafely instead).
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mono_distill.compat.inert_pickles import inert_globals, materialize
from mono_distill.compat.safetensors_files import SUFFIX, read_safetensors
from mono_distill.utils.errors import CheckpointError

ALLOW_PICKLE_VARIABLE = 'MONO_DISTILL_ALLOW_PICKLE'

MapLocation = str | torch.device | dict[str, str] | Callable[..., Any] | None

_ALLOW_PICKLE_CURE = (
    f'only if you trust its author, load it with allow_pickle=True or set {ALLOW_PICKLE_VARIABLE}=1: '
    'the file may then run any code'
)
_DAMAGED_CURE = 'download or copy the file again, or resume from an earlier checkpoint'


_LISTS_GLOBALS = torch.torch_version.TorchVersion(torch.__version__) >= '2.6'
"""Whether torch can list safe globals by their name in the file; before, only plain weights load without a switch."""


def load_checkpoint_file(
    path: str | os.PathLike[str], map_location: MapLocation = 'cpu', *, allow_pickle: bool = False
) -> dict[str, Any]:
    """Load a local checkpoint: tensors, containers, numbers, strings, numpy arrays and mmengine's log histories.

    Args:
        path: File written by ``torch.save``, in its zip format or the older one, or a ``.safetensors`` file.
        map_location: Where tensors go, as in :func:`torch.load`; safetensors need a device.
        allow_pickle: Load a file that holds other objects too, which lets it run any code. The environment variable
            ``MONO_DISTILL_ALLOW_PICKLE=1`` does the same.

    Returns:
        The dictionary in the file.

    Raises:
        CheckpointError: The file is missing, damaged, not a checkpoint, or needs ``allow_pickle``.
    """
    file = Path(path).expanduser()
    _check_exists(file)
    if file.suffix == SUFFIX:
        return read_safetensors(file, str(map_location or 'cpu'))
    unsafe = allow_pickle or os.environ.get(ALLOW_PICKLE_VARIABLE, '').lower() in ('1', 'true', 'yes')
    if unsafe:
        logging.getLogger('mono_distill').warning('%s is loaded without restrictions and may run any code', file)
    try:
        checkpoint = _load_anything(file, map_location) if unsafe else _load_safely(file, map_location)
    except pickle.UnpicklingError as error:
        raise _refused(file, error) from error
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, ImportError, EOFError, OSError) as error:
        raise _unreadable(file, error) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f'{file} holds a {type(checkpoint).__name__}; expected a dictionary as torch.save wrote it'
        )
    return checkpoint


def install_checkpoint_loader() -> None:
    """Make mmengine load local checkpoints through :func:`load_checkpoint_file`.

    ``Runner.load_checkpoint``, ``Runner.resume``, inferencers and ``init_cfg`` all go through mmengine's
    ``CheckpointLoader``; this replaces its loader for local files. Loaders of remote files are left alone, which keep
    torch's strict default. Calling it again changes nothing.
    """
    from mmengine.runner.checkpoint import CheckpointLoader

    CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)


def load_from_local(filename: str, map_location: MapLocation = None) -> dict[str, Any]:
    """Load a local checkpoint for mmengine, whose log names the loader by this function's name.

    Args:
        filename: Path of the file.
        map_location: Where tensors go, as in :func:`torch.load`.

    Raises:
        CheckpointError: As :func:`load_checkpoint_file`.
    """
    return load_checkpoint_file(filename, map_location)


def _load_safely(file: Path, map_location: MapLocation) -> Any:
    with _allowed_globals():
        return materialize(torch.load(file, map_location=map_location, weights_only=True))


def _load_anything(file: Path, map_location: MapLocation) -> Any:
    return torch.load(file, map_location=map_location, weights_only=False)


def _allowed_globals() -> contextlib.AbstractContextManager[None]:
    return torch.serialization.safe_globals(inert_globals()) if _LISTS_GLOBALS else contextlib.nullcontext()


def _check_exists(file: Path) -> None:
    if file.is_file():
        return
    if file.is_dir():
        raise CheckpointError(f'{file} is a folder; name one of the checkpoints in it{_listing(file)}')
    raise CheckpointError(f'there is no checkpoint {file}{_listing(file.parent)}')


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.glob('*.pth')) if folder.is_dir() else []
    if not folder.is_dir():
        return f'; the folder {folder} does not exist either'
    return f'; {folder} holds {", ".join(names[-5:])}' if names else f'; {folder} holds no .pth file'


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    """Say what is wrong with a file that torch could not read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    cure = "load it with map_location='cpu'" if 'CUDA' in reason else _DAMAGED_CURE
    return CheckpointError(f'{file} cannot be read as a checkpoint: {_impostor(file) or reason}; {cure}')


def _impostor(file: Path) -> str:
    """Recognise by its first bytes a file that is no checkpoint at all; return what it is, or nothing."""
    with file.open('rb') as stream:
        head = stream.read(64)
    if not head:
        return 'the file is empty'
    if head.startswith(b'version https://git-lfs'):
        return "it is a git-lfs pointer, not the file itself (run 'git lfs pull')"
    if head.lstrip().startswith(b'<'):
        return 'it is a web page (a download that needed a login?)'
    known = head.startswith((b'PK', b'\x80'))  # the zip format, and the pickles of torch < 1.6
    return '' if known else 'it is not a file written by torch.save'


def _refused(file: Path, error: pickle.UnpicklingError) -> CheckpointError:
    """Say which function or class of a file is not on the list."""
    message = str(error)
    found = re.search(r'GLOBAL (\S+)', message)
    if found is None and _impostor(file):
        return _unreadable(file, error)
    if found is None:
        reason = message.split('WeightsUnpickler error:')[-1].strip().splitlines()[0]
        return CheckpointError(f'{file} cannot be loaded safely: {reason}; {_ALLOW_PICKLE_CURE}')
    newer = '' if _LISTS_GLOBALS else ' (with torch >= 2.6 more objects are)'
    return CheckpointError(
        f"{file} needs the object '{found[1]}', which is not among those that are safe to load{newer}; "
        f'{_ALLOW_PICKLE_CURE}'
    )

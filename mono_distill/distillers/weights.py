"""Loading a teacher's weights, refusing files that do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from mono_distill.compat.checkpoints import load_checkpoint_file
from mono_distill.distillers.checkpoint_keys import DISTILL_PREFIX
from mono_distill.utils.errors import CheckpointError


def read_state_dict(checkpoint: str) -> tuple[str, dict[str, Tensor]]:
    """Read model weights from a file, a work directory or a URL.

    Args:
        checkpoint: A ``.pth`` file, a work directory (its last checkpoint is read), or a URL.

    Returns:
        What was read (a path or the URL) and the student's or plain model's weights: entries under ``distill.`` are
        left out and a ``module.`` prefix is removed.

    Raises:
        CheckpointError: The file is missing, unreadable, or holds no weights.
    """
    source = checkpoint
    if '://' in checkpoint:
        content: Any = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    else:
        path = Path(checkpoint)
        if path.is_dir():
            path = last_checkpoint(path)
        source = str(path)
        content = load_checkpoint_file(path)
    if isinstance(content, Mapping):
        for key in ('state_dict', 'model_state', 'model'):
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{source}: holds no weights under 'state_dict', 'model_state' or 'model'")
    state = {key.removeprefix('module.'): value for key, value in content.items() if isinstance(value, Tensor)}
    return source, {key: value for key, value in state.items() if not key.startswith(DISTILL_PREFIX)}


def last_checkpoint(folder: Path) -> Path:
    """Return the newest checkpoint of a work directory, as its ``last_checkpoint`` record says.

    Raises:
        CheckpointError: The folder has no such record, or the file it names is gone.
    """
    record = folder / 'last_checkpoint'
    if not record.is_file():
        raise CheckpointError(f'{folder}: a folder without a last_checkpoint record; name a .pth file, or train first')
    target = Path(record.read_text().strip())
    # A work directory that was moved or copied keeps the old path in its record.
    beside = folder / target.name
    target = beside if beside.is_file() else target
    if not target.is_file():
        raise CheckpointError(f'{record} names {target.name}, which is gone; name a .pth file')
    return target


def load_teacher_weights(model: nn.Module, checkpoint: str, name: str, strict: bool = True) -> None:
    """Load a checkpoint into a teacher and log one line about it.

    Args:
        model: The teacher.
        checkpoint: See :func:`read_state_dict`.
        name: The teacher's name, for messages.
        strict: Refuse a checkpoint that lacks parameters or has others.

    Raises:
        CheckpointError: The checkpoint cannot be read, has other shapes, or (if ``strict``) other names.
    """
    source, state = read_state_dict(checkpoint)
    own = model.state_dict()
    needed = [key for key in own if not key.endswith('num_batches_tracked')]
    missing = [key for key in needed if key not in state]
    extra = [key for key in state if key not in own]
    shapes = [
        f'{key} {tuple(state[key].shape)} (model: {tuple(own[key].shape)})'
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    problems = [
        f'{len(keys)} {what}: {", ".join(keys[:3])}{" …" if len(keys) > 3 else ""}'
        for what, keys in (('parameters missing', missing), ('not in the model', extra), ('of another shape', shapes))
        if keys
    ]
    if shapes or len(missing) == len(needed) or (strict and problems):
        raise CheckpointError(
            f'teacher {name}: {source} is of another architecture. {"; ".join(problems)}. Use the checkpoint that was '
            "trained with the teacher's config."
            + (' strict=False accepts missing and extra names.' if strict and not shapes else '')
        )
    model.load_state_dict(state, strict=False)
    note = f' ({"; ".join(problems)})' if problems else ''
    MMLogger.get_current_instance().info(
        f'teacher {name}: {len(needed) - len(missing)} of {len(needed)} tensors loaded from {source}{note}'
    )

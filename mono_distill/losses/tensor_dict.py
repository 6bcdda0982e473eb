"""Checked access to dicts of tensors: targets and outputs of heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mono_distill.utils.errors import ConfigError, ShapeError


def require_tensors(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int | None, ...]], *, owner: str
) -> list[Tensor]:
    """Return the tensors named in ``shapes``, in that order.

    Args:
        tensors: Name to tensor; may hold more than is asked for.
        shapes: Name to expected shape; ``None`` stands for any size.
        owner: Who asks, for the messages.

    Raises:
        ConfigError: A name is missing.
        ShapeError: A shape does not fit.

    Example:
        >>> import torch
        >>> [boxes] = require_tensors({'bboxes': torch.zeros(2, 7, 4)}, {'bboxes': (2, None, 4)}, owner='demo')
        >>> boxes.shape
        torch.Size([2, 7, 4])
    """
    if not isinstance(tensors, Mapping):
        raise ConfigError(f'{owner}: needs a dict of tensors ({", ".join(shapes)}), got a {type(tensors).__name__}.')
    for name, expected in shapes.items():
        if name not in tensors:
            raise ConfigError(f"{owner}: needs '{name}', got only: {', '.join(sorted(tensors)) or 'nothing'}.")
        if not isinstance(tensors[name], Tensor):
            raise ConfigError(f"{owner}: '{name}' must be a tensor, got a {type(tensors[name]).__name__}.")
        actual = tuple(tensors[name].shape)
        if len(actual) != len(expected) or any(e not in (None, a) for e, a in zip(expected, actual, strict=True)):
            wanted = ', '.join('*' if size is None else str(size) for size in expected)
            raise ShapeError(f"{owner}: '{name}' has shape {actual}, expected ({wanted}).")
    return [tensors[name] for name in shapes]


def head_tasks(outputs: Mapping[str, Tensor] | Tensor | Sequence[Any]) -> list[Any]:
    """Return the tasks of a CenterHead, each out of the list of one level that mmdet3d's puts around it.

    Args:
        outputs: What one task gives, or a sequence over the tasks, each as it is or in a list of one.

    Example:
        >>> head_tasks(([{'heatmap': 1}], [{'heatmap': 2}]))
        [{'heatmap': 1}, {'heatmap': 2}]
    """
    tasks = [outputs] if isinstance(outputs, (Mapping, Tensor)) else list(outputs)
    return [task[0] if isinstance(task, (list, tuple)) and len(task) == 1 else task for task in tasks]

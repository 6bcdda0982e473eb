"""Checked access to dicts of tensors: targets and outputs of heads."""

from __future__ import annotations

from collections.abc import Mapping

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
    for name, expected in shapes.items():
        if name not in tensors:
            raise ConfigError(f"{owner}: needs '{name}', got only: {', '.join(sorted(tensors)) or 'nothing'}.")
        actual = tuple(tensors[name].shape)
        if len(actual) != len(expected) or any(e not in (None, a) for e, a in zip(expected, actual, strict=True)):
            wanted = ', '.join('*' if size is None else str(size) for size in expected)
            raise ShapeError(f"{owner}: '{name}' has shape {actual}, expected ({wanted}).")
    return [tensors[name] for name in shapes]

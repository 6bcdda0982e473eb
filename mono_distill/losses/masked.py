"""Masked reductions without host synchronisation, shared by the detection losses."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor

from mono_distill.utils.errors import ShapeError


def as_float32(tensor: Tensor) -> Tensor:
    """Return ``tensor`` in float32 if it is of half precision; float32 and float64 stay as they are.

    Example:
        >>> as_float32(torch.ones(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def require_shape(tensor: Tensor, shape: tuple[int, ...], *, loss: str, name: str) -> None:
    """Raise :class:`ShapeError` unless ``tensor`` has exactly ``shape``.

    Args:
        tensor: The tensor to check.
        shape: The expected shape.
        loss: Name of the loss, for the message.
        name: Name of the argument, for the message.
    """
    if tuple(tensor.shape) != tuple(shape):
        raise ShapeError(f'{loss}: {name} has shape {tuple(tensor.shape)}, expected {tuple(shape)}.')


def masked_mean(values: Tensor, mask: Tensor | None = None, avg_factor: Tensor | float | None = None) -> Tensor:
    """Sum ``values`` where ``mask`` holds and divide by ``avg_factor``.

    Entries outside the mask may hold anything, NaN and infinity included.

    Args:
        values: Any shape.
        mask: Boolean, same shape; ``None`` keeps all.
        avg_factor: The divisor; by default the number of kept entries, at least 1, so that an empty mask gives 0.

    Returns:
        A 0-dim tensor.

    Example:
        >>> masked_mean(torch.tensor([1.0, 3.0, float('nan')]), torch.tensor([True, True, False]))
        tensor(2.)
        >>> masked_mean(torch.tensor([1.0]), torch.tensor([False]))
        tensor(0.)
    """
    if mask is None:
        mask = torch.ones_like(values, dtype=torch.bool)
    if avg_factor is None:
        avg_factor = mask.sum().clamp(min=1)
    return torch.where(mask, values, values.new_zeros(())).sum() / avg_factor


def mean_over_ranks(values: Tensor) -> Tensor:
    """Return the mean of ``values`` over all ranks, detached; without distributed training a copy."""
    values = values.detach().clone()
    all_reduce(values, op='mean')
    return values


def global_avg_factors(counts: Tensor) -> Tensor:
    """Turn counts of this rank into divisors with which DDP reproduces one process on the global batch.

    DDP averages gradients over ranks, so each rank divides its sum by the *mean* count of the ranks; the total is taken
    as at least 1. All counts travel in a single collective.

    Args:
        counts: Counts of this rank, any shape.

    Returns:
        Floating divisors of the same shape.

    Example:
        >>> global_avg_factors(torch.tensor([4, 0]))
        tensor([4., 1.])
    """
    return mean_over_ranks(counts.float()).clamp(min=1 / get_world_size())

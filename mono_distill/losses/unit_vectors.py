"""Vectors of length one, for cosine similarities."""

from __future__ import annotations

import torch
from torch import Tensor

# Shorter vectors have no direction. The value is that of torch.nn.functional.normalize.
_SHORTEST = 1e-12


def unit_vectors(vectors: Tensor) -> Tensor:
    """Divide the vectors along the last axis by their length.

    Unlike :func:`torch.nn.functional.normalize`, which divides by 1e-12 there, a zero vector passes as it is: its
    similarity to everything is 0 and its gradient is of the size of the others, not 1e12 times as large.

    Args:
        vectors: ``(..., C)``.

    Returns:
        The same shape.

    Example:
        >>> unit_vectors(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / torch.where(length <= _SHORTEST, 1.0, length)

"""Ranks with ties averaged."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.ops._compiled import as_arrays, can_compile_ranks, has_memory, rank_kernels


@torch.no_grad()
def average_ranks(values: Tensor) -> Tensor:
    """Rank every row from 1 (smallest) to n (largest); equal values share the mean of their ranks.

    The numbers are those of ``scipy.stats.rankdata(method='average')``, on any device and without a host
    synchronisation. Ranks carry no gradient. Floating-point numbers on the CPU go through a radix sort compiled by
    numba, where numba can be imported; it is about ten times as fast as the form by tensor operations.

    Args:
        values: ``(R, n)`` of any real dtype. NaN has the rank NaN.

    Returns:
        ``(R, n)`` float64.

    Example:
        >>> average_ranks(torch.tensor([[0.0, 3.0, 0.0, 1.0]]))
        tensor([[1.5000, 4.0000, 1.5000, 3.0000]], dtype=torch.float64)
    """
    if values.numel() == 0:
        return torch.zeros_like(values, dtype=torch.float64)
    if values.is_floating_point() and can_compile_ranks(values):
        values = values if values.dtype == torch.float64 else values.float()
        if has_memory(values):
            ranks = torch.empty(values.shape, dtype=torch.float64)
            rank_kernels().average_rank_rows(*as_arrays(values, ranks))
            return ranks
    return _average_ranks_by_tensors(values)


def _average_ranks_by_tensors(values: Tensor) -> Tensor:
    """Average ranks on any device: half of the numbers of smaller and of not larger values, plus a half."""
    nan = values.isnan()
    # Last in order; their number must not count for the values that are infinite.
    values = values.masked_fill(nan, torch.inf) if values.is_floating_point() else values.contiguous()
    ordered = values.sort(dim=1).values
    below, reached = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    reached = reached.minimum((~nan).sum(1, keepdim=True))
    return torch.where(nan, torch.nan, (below + reached + 1).double() / 2)

"""Ranks with ties averaged."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def average_ranks(values: Tensor) -> Tensor:
    """Rank every row from 1 (smallest) to n (largest); equal values share the mean of their ranks.

    The numbers are those of ``scipy.stats.rankdata(method='average')``, on any device and without a host
    synchronisation. Ranks carry no gradient.

    Args:
        values: ``(R, n)`` of any real dtype. NaN has the rank NaN.

    Returns:
        ``(R, n)`` float64.

    Example:
        >>> average_ranks(torch.tensor([[0.0, 3.0, 0.0, 1.0]]))
        tensor([[1.5000, 4.0000, 1.5000, 3.0000]], dtype=torch.float64)
    """
    rows, n = values.shape
    if n == 0:
        return values.new_zeros((rows, 0), dtype=torch.float64)
    ordered, order = values.sort(dim=1)
    changes = ordered[:, 1:] != ordered[:, :-1]
    edge = changes.new_ones((rows, 1))
    position = torch.arange(n, device=values.device)
    # First and last place of the run of equal values that each place belongs to.
    first = torch.where(torch.cat([edge, changes], 1), position, 0).cummax(1).values
    last = torch.where(torch.cat([changes, edge], 1), position, n - 1).flip(1).cummin(1).values.flip(1)
    ranks = (first + last).double() / 2 + 1
    ranks = torch.empty_like(ranks).scatter_(1, order, ranks)
    return torch.where(values.isnan(), torch.nan, ranks)

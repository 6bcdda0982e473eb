"""Greedy suppression, the selection rule behind every non-maximum suppression."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 512
"""Boxes compared at a time: bounds the memory at ``boxes kept * BLOCK`` comparisons."""


def greedy_selection(count: int, conflicts: Callable[[Tensor, Tensor], Tensor], device: torch.device) -> Tensor:
    """Select what greedy suppression keeps: each item that conflicts with no kept item before it.

    Inside a block the greedy choice is the only fixed point of ``keep[j] = no kept i < j conflicts with j``, and
    repeating that rule from "keep all" reaches it (Zheng et al., Cluster-NMS, arXiv:2005.03572, proposition 1), mostly
    in a few matrix operations instead of one step per box.

    Args:
        count: Number of items, in order of priority.
        conflicts: Function of two index tensors (n,) and (m,) to a boolean tensor (n, m).
        device: Where the indices live.

    Returns:
        (kept,) int64 positions, ascending.
    """
    kept = torch.empty(0, dtype=torch.long, device=device)
    for candidates in torch.arange(count, device=device).split(BLOCK):
        if len(kept):
            candidates = candidates[~conflicts(kept, candidates).any(dim=0)]
        alive = _fixed_point(conflicts(candidates, candidates).triu(diagonal=1))
        kept = torch.cat([kept, candidates[alive]])
    return kept


def _fixed_point(suppresses: Tensor) -> Tensor:
    alive = suppresses.new_ones(len(suppresses))
    while True:
        refreshed = ~(suppresses & alive[:, None]).any(dim=0)
        if torch.equal(refreshed, alive):
            return alive
        alive = refreshed

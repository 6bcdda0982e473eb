"""Greedy suppression in blocks keeps what one box at a time keeps."""

from __future__ import annotations

import pytest
import torch

from mono_distill.compat.lite_ops import greedy
from mono_distill.compat.lite_ops.greedy import greedy_selection

CPU = torch.device('cpu')


def one_at_a_time(matrix: torch.Tensor) -> list[int]:
    kept: list[int] = []
    for candidate in range(len(matrix)):
        if not any(matrix[earlier, candidate] for earlier in kept):
            kept.append(candidate)
    return kept


@pytest.mark.parametrize('block', [1, 7, 512])
@pytest.mark.parametrize('density', [0.0, 0.02, 0.3, 1.0])
def test_blocks_keep_what_one_at_a_time_keeps(monkeypatch, block, density):
    monkeypatch.setattr(greedy, 'BLOCK', block)
    matrix = torch.rand(100, 100) < density
    kept = greedy_selection(100, lambda first, second: matrix[first][:, second], CPU)
    assert kept.tolist() == one_at_a_time(matrix)


def test_a_chain_of_conflicts_keeps_every_other_one():
    def neighbours(first, second):
        return (first[:, None] - second[None]).abs() == 1

    assert greedy_selection(101, neighbours, CPU).tolist() == list(range(0, 101, 2))


def test_nothing_to_select_from():
    def never(first, second):
        return torch.zeros(len(first), len(second), dtype=torch.bool)

    assert greedy_selection(0, never, CPU).tolist() == []

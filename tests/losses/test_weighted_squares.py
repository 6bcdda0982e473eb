"""Tests of mono_distill.losses.weighted_squares; the losses that use it hold it to their formulas."""

import pytest
import torch

from mono_distill.losses import masked
from mono_distill.losses.weighted_squares import level_masks, weighted_square_means
from mono_distill.utils.errors import ShapeError


def pairs():
    return [
        (torch.randn(2, 3, 4, 5, dtype=torch.float64), torch.randn(2, 3, 4, 5, dtype=torch.float64)) for _ in range(2)
    ]


def test_every_level_is_a_weighted_mean_of_its_own():
    levels, weights = pairs(), [torch.rand(2, 4, 5).double(), torch.zeros(2, 4, 5).double()]
    result = weighted_square_means(levels, weights)
    squares = (levels[0][0] - levels[0][1]).square().mean(1)
    torch.testing.assert_close(result[0], (squares * weights[0]).sum() / weights[0].sum())
    assert result[1] == 0


def test_without_weights_all_places_count_alike():
    ones = [torch.ones(2, 4, 5).double()] * 2
    levels = pairs()
    torch.testing.assert_close(weighted_square_means(levels, None), weighted_square_means(levels, ones))


def test_all_levels_share_one_collective(monkeypatch):
    calls = []
    monkeypatch.setattr(masked, 'all_reduce', lambda counts, op: calls.append(op))
    weighted_square_means(pairs(), [torch.ones(2, 4, 5).double()] * 2)
    assert calls == ['mean']


def test_masks_are_counted_checked_and_cut_from_the_graph():
    levels = pairs()[:1]
    (mask,) = level_masks(torch.ones(2, 4, 5, requires_grad=True), levels, loss='demo')
    assert not mask.requires_grad
    assert mask.dtype == torch.float64
    with pytest.raises(ShapeError, match='demo: 1 levels but 2 masks; give one per level'):
        level_masks([mask, mask], levels, loss='demo')
    with pytest.raises(ShapeError, match=r'demo: mask of level 0 has shape \(2, 5, 4\), expected \(2, 4, 5\)'):
        level_masks(mask.transpose(1, 2), levels, loss='demo')

"""Tests of mono_distill.ops.isotonic."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_distill.ops import isotonic_pools


def fit(values, starts):
    """Mean of each pool, for rows of values and marks where pools start."""
    pool = starts.flatten().cumsum(0) - 1
    sums = torch.zeros(int(pool[-1]) + 1, dtype=values.dtype).index_add(0, pool, values.flatten())
    return (sums / torch.bincount(pool))[pool].view_as(values)


def pool_adjacent_violators(row):
    """The textbook algorithm, one entry after the other, for a non-increasing fit."""
    blocks = []
    for value in row.tolist():
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] < blocks[-1][0]:
            (mean_b, count_b), (mean_a, count_a) = blocks.pop(), blocks.pop()
            count = count_a + count_b
            blocks.append(((mean_a * count_a + mean_b * count_b) / count, count))
    return torch.tensor([mean for mean, count in blocks for _ in range(count)], dtype=row.dtype)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40))
def test_fit_equals_the_textbook_algorithm(row):
    values = torch.tensor([row], dtype=torch.float64)
    expected = pool_adjacent_violators(values[0])
    torch.testing.assert_close(fit(values, isotonic_pools(values))[0], expected, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize('shape', ['normal', 'walk', 'convex', 'concave', 'steps', 'geometric'])
def test_fit_of_structured_rows_equals_the_textbook_algorithm(shape):
    n = 400
    t = torch.linspace(0, 1, n, dtype=torch.float64)
    values = {
        'normal': torch.randn(3, n, dtype=torch.float64),
        'walk': torch.randn(3, n, dtype=torch.float64).cumsum(1),
        'convex': (100 * (t - 0.6) ** 2).repeat(3, 1),
        'concave': (-100 * (t - 0.4) ** 2).repeat(3, 1),
        'steps': (torch.randn(3, n, dtype=torch.float64) * 2).round(),
        'geometric': 2.0 ** torch.arange(n, dtype=torch.float64).div(10).repeat(3, 1)
        * torch.tensor([[1], [-1], [0.5]]),
    }[shape]
    expected = torch.stack([pool_adjacent_violators(row) for row in values])
    torch.testing.assert_close(fit(values, isotonic_pools(values)), expected, rtol=1e-9, atol=1e-8)


def test_decreasing_rows_fall_into_single_entries():
    assert isotonic_pools(torch.arange(10.0, 0, -1, dtype=torch.float64)[None]).all()


def test_rising_rows_are_one_pool():
    starts = isotonic_pools(torch.arange(10, dtype=torch.float64).repeat(2, 1))
    assert starts[:, 0].all()
    assert not starts[:, 1:].any()


def test_pools_never_cross_rows():
    values = torch.tensor([[3.0, 2.0], [9.0, 1.0]], dtype=torch.float64)
    assert isotonic_pools(values).all()


def test_nan_ends():
    assert isotonic_pools(torch.tensor([[1.0, float('nan'), 2.0, 3.0]], dtype=torch.float64)).shape == (1, 4)


def test_empty_rows_are_allowed():
    assert isotonic_pools(torch.zeros(2, 0, dtype=torch.float64)).shape == (2, 0)

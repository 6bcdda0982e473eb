"""Tests of mono_distill.ops.average_rank."""

import pytest
import torch
from scipy.stats import rankdata

from mono_distill.ops import average_ranks


@pytest.mark.parametrize('n', [1, 2, 7, 1000])
@pytest.mark.parametrize('kind', ['distinct', 'half_ties', 'few_values', 'constant'])
def test_ranks_equal_scipy(n, kind):
    values = torch.randn(3, n)
    values = {
        'distinct': values,
        'half_ties': values.relu(),
        'few_values': (values * 2).round(),
        'constant': torch.ones_like(values),
    }[kind]
    expected = torch.from_numpy(rankdata(values.numpy(), axis=1))
    assert torch.equal(average_ranks(values), expected)


def test_ranks_of_a_row_do_not_depend_on_other_rows():
    values = torch.randn(4, 20).relu()
    assert torch.equal(average_ranks(values)[2:3], average_ranks(values[2:3]))


def test_monotonic_change_of_values_keeps_ranks():
    values = torch.randn(2, 50, dtype=torch.float64)
    assert torch.equal(average_ranks(values.exp()), average_ranks(values))


def test_ranks_are_exact_beyond_the_range_of_half_precision():
    assert torch.equal(average_ranks(torch.arange(70000).flip(0)[None]), torch.arange(70000, 0, -1)[None].double())


def test_ranks_carry_no_gradient():
    assert not average_ranks(torch.randn(1, 5, requires_grad=True)).requires_grad


def test_nan_stays_visible():
    assert average_ranks(torch.tensor([[2.0, float('nan'), 1.0]])).isnan().tolist() == [[False, True, False]]


def test_empty_rows_are_allowed():
    assert average_ranks(torch.zeros(2, 0)).shape == (2, 0)

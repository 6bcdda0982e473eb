"""Tests of mono_distill.ops.average_rank."""

import importlib

import pytest
import torch
from scipy.stats import rankdata

from mono_distill.ops import average_ranks

# The package exports names of modules as functions.
module = importlib.import_module('mono_distill.ops.average_rank')


@pytest.fixture(params=['compiled', 'tensors'], autouse=True)
def form(request, monkeypatch):
    """Every test runs with both forms of the operator."""
    if request.param == 'tensors':
        monkeypatch.setattr(module, 'can_compile_ranks', lambda values: False)


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
    assert torch.equal(average_ranks(values.double()), expected)


@pytest.mark.parametrize('kind', ['offset', 'clusters', 'outlier', 'tiny', 'infinite', 'signed_zeros'])
def test_float64_ranks_are_exact_where_float32_cannot_tell_numbers_apart(kind):
    values = torch.randn(2, 3000, dtype=torch.float64)
    values = {
        'offset': values * 1e-9 + 1e3,
        'clusters': (values > 0) + 1e-12 * values,
        'outlier': torch.cat([values, torch.full((2, 1), 1e300, dtype=torch.float64)], 1),
        'tiny': values * 1e-300,
        'infinite': torch.where(values.abs() > 1, values * torch.inf, values),
        'signed_zeros': torch.where(values.abs() < 1, 0.0, values) * values.roll(1, 1).sign(),
    }[kind]
    assert torch.equal(average_ranks(values), torch.from_numpy(rankdata(values.numpy(), axis=1)))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.int32, torch.uint8, torch.int64])
def test_any_real_dtype_is_ranked(dtype):
    values = (torch.randn(2, 200) * 9).abs().to(dtype)
    assert torch.equal(average_ranks(values), torch.from_numpy(rankdata(values.double().numpy(), axis=1)))


def test_memory_layout_does_not_matter():
    values = torch.randn(30, 4)
    assert torch.equal(average_ranks(values.t()), average_ranks(values.t().contiguous()))


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


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('scale', [1.0, 1e-40])
def test_nan_takes_no_rank_from_the_others(dtype, scale):
    values = torch.randn(2, 400, dtype=dtype) * scale
    expected = average_ranks(values)
    nan = torch.tensor([float('nan'), -float('nan')], dtype=dtype).repeat(2, 50)
    ranks = average_ranks(torch.cat([values, nan], 1)[:, torch.randperm(500).argsort()])
    assert torch.equal(ranks.nan_to_num(1e9).sort(1).values[:, :400], expected.sort(1).values)


@pytest.mark.filterwarnings('ignore:There is a performance drop')
def test_function_transforms_see_the_same_ranks():
    values = torch.randn(3, 2, 7)
    assert torch.equal(torch.func.vmap(average_ranks)(values), torch.stack([average_ranks(v) for v in values]))


def test_empty_rows_are_allowed():
    assert average_ranks(torch.zeros(2, 0)).shape == (2, 0)

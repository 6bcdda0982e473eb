"""Tests of mono_distill.ops.soft_rank; golden numbers are of torchsort 0.1.10."""

import time

import pytest
import torch
from scipy.stats import rankdata

from mono_distill.ops import soft_rank
from mono_distill.utils.errors import ConfigError, ShapeError

EPS = [1.0, 0.1, 0.01, 0.001]


@pytest.mark.parametrize('eps', EPS)
@pytest.mark.parametrize('name', ['x', 'x_ties'])
def test_ranks_and_gradients_equal_torchsort(golden, name, eps):
    data = golden('softrank_l2')
    values = torch.from_numpy(data[name]).double().requires_grad_()
    ranks = soft_rank(values, eps)
    (gradient,) = torch.autograd.grad(ranks, values, torch.from_numpy(data['cot']).double())
    key = f'{name.replace("_", "")}_eps{eps}'
    torch.testing.assert_close(ranks, torch.from_numpy(data[f'{key}_rank_f64']), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gradient, torch.from_numpy(data[f'{key}_vjp_f64']), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize('eps', [0.003, 0.03, 0.3])
def test_gradient_is_exact_away_from_changes_of_pools(eps):
    values = torch.randn(2, 12, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda v: soft_rank(v, eps), values)


def test_gradient_reaches_a_tensor_eps():
    values = torch.randn(3, 9, dtype=torch.float64, requires_grad=True)
    eps = torch.tensor([[0.1], [0.4], [5.0]], dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(soft_rank, (values, eps))


def test_small_eps_gives_average_ranks_without_gradient():
    values = torch.randn(2, 300).relu().requires_grad_()
    ranks = soft_rank(values, 1e-9)
    torch.testing.assert_close(ranks, torch.from_numpy(rankdata(values.detach().numpy(), axis=1)).float())
    cotangent = torch.randn(2, 300)
    (gradient,) = torch.autograd.grad(ranks[values > 0], values, cotangent[values > 0])
    assert not gradient[values > 0].any()


def linear_threshold(values):
    """The eps above which the whole row is one pool: 2/n times the largest mean of the top k minus mean of the rest."""
    n = values.numel()
    ordered = values.sort(descending=True).values
    k = torch.arange(1, n, dtype=values.dtype)
    top = ordered.cumsum(0)[:-1]
    return ((top / k - (ordered.sum() - top) / (n - k)).max() * 2 / n).item()


def test_linear_regime_begins_at_the_stated_threshold():
    values = torch.randn(1, 500, dtype=torch.float64)
    threshold = linear_threshold(values[0])

    def deviation(eps):
        linear = values / eps - values.mean() / eps + (500 + 1) / 2
        return (soft_rank(values, eps) - linear).abs().max()

    assert deviation(1.001 * threshold) < 1e-9
    assert deviation(0.999 * threshold) > 1e-3


def test_recognised_linear_rows_equal_the_general_path():
    # The range test of both rows together fails, so the first row goes through sorting and pooling.
    easy, hard = torch.rand(1, 40, dtype=torch.float64), 1e4 * torch.rand(1, 40, dtype=torch.float64)
    torch.testing.assert_close(soft_rank(easy), soft_rank(torch.cat([easy, hard]))[:1], rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize('eps', [1e-3, 0.1, 10.0])
def test_ranks_sum_to_those_of_a_permutation_and_keep_the_order(eps):
    values = torch.randn(2, 100, dtype=torch.float64)
    ranks = soft_rank(values, eps)
    torch.testing.assert_close(ranks.sum(1), torch.full((2,), 5050.0, dtype=torch.float64))
    assert (ranks.gather(1, values.argsort(1)).diff(dim=1) >= -1e-9).all()


def test_shift_of_a_row_and_common_scale_with_eps_change_nothing():
    values = torch.randn(2, 64, dtype=torch.float64)
    expected = soft_rank(values, 0.05)
    torch.testing.assert_close(soft_rank(values + torch.tensor([[1e3], [-7.0]]), 0.05), expected, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(soft_rank(values * 40, 2.0), expected)


def test_ranks_move_with_the_entries():
    values, order = torch.randn(1, 64, dtype=torch.float64), torch.randperm(64)
    torch.testing.assert_close(soft_rank(values[:, order], 0.02), soft_rank(values, 0.02)[:, order])


def test_nan_stays_visible():
    assert soft_rank(torch.tensor([[1.0, float('nan'), 2.0]]), 0.01).isnan().any()


def test_dtype_of_the_input_is_returned():
    assert soft_rank(torch.randn(1, 5)).dtype == torch.float32
    assert soft_rank(torch.randn(1, 5, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize('shape', [(2, 0), (0, 3), (1, 1)])
def test_degenerate_shapes_are_allowed(shape):
    assert soft_rank(torch.ones(shape), 0.1).shape == shape


def test_true_feature_sizes_are_ranked_in_about_the_time_of_a_sort():
    values = torch.randn(4, 245760, dtype=torch.float64).relu()
    eps = 2 * values.std(1, keepdim=True) / 245760
    begin = time.process_time()
    values.sort(1)
    sorting, begin = time.process_time() - begin, time.process_time()
    soft_rank(values, eps)
    # Measured: 2 to 4 times one sort.
    assert time.process_time() - begin < 20 * sorting


@pytest.mark.parametrize('eps', [0, -1.0, float('nan')])
def test_eps_must_be_positive(eps):
    with pytest.raises(ConfigError, match='eps must be positive'):
        soft_rank(torch.randn(1, 3), eps)


def test_rows_must_be_two_dimensional():
    with pytest.raises(ShapeError, match=r'expected values of shape \(R, n\), got \(3,\)'):
        soft_rank(torch.randn(3))

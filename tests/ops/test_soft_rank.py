"""Tests of mono_distill.ops.soft_rank; golden numbers are of torchsort 0.1.10."""

import importlib
import time

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from mono_distill.ops import _compiled, soft_rank
from mono_distill.utils.errors import ConfigError, ShapeError

EPS = [1.0, 0.1, 0.01, 0.001]
# The package exports a function of the same name.
module = importlib.import_module('mono_distill.ops.soft_rank')


@pytest.fixture(params=['compiled', 'rounds'], autouse=True)
def form(request, monkeypatch):
    """Every test runs with both forms of the operator."""
    if request.param == 'rounds':
        monkeypatch.setattr(module, 'can_compile_ranks', lambda values: False)
    return request.param


only_compiled = pytest.mark.parametrize('form', ['compiled'], indirect=True)


def by_rounds(values, eps):
    return module._soft_rank_by_rounds(values, eps)


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


def projected(row, eps):
    """Soft ranks of one row by the textbook: sort, walk over the entries and merge neighbours that fall, unsort."""
    order = sorted(range(len(row)), key=row.__getitem__)
    blocks = []
    for rank, i in enumerate(order, start=1):
        mean, count = row[i] / eps - rank, 1
        while blocks and blocks[-1][0] > mean:
            other_mean, other_count = blocks.pop()
            mean = (mean * count + other_mean * other_count) / (count + other_count)
            count += other_count
        blocks.append((mean, count))
    fit = [mean for mean, count in blocks for _ in range(count)]
    ranks = dict(zip(order, fit, strict=True))
    return [row[i] / eps - ranks[i] for i in range(len(row))]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40), st.sampled_from([0.01, 0.3, 2.0, 20.0]))
def test_ranks_equal_the_textbook_algorithm(row, eps):
    values = torch.tensor([row], dtype=torch.float64)
    expected = torch.tensor([projected(row, eps)], dtype=torch.float64)
    torch.testing.assert_close(soft_rank(values, eps), expected, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize('eps', [0.003, 0.03, 0.3])
def test_gradient_is_exact_away_from_changes_of_pools(eps):
    values = torch.randn(2, 12, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(lambda v: soft_rank(v, eps), values, check_forward_ad=True, check_batched_grad=True)


def test_gradient_reaches_a_tensor_eps():
    values = torch.randn(3, 9, dtype=torch.float64, requires_grad=True)
    eps = torch.tensor([[0.1], [0.4], [5.0]], dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(soft_rank, (values, eps), check_forward_ad=True)
    torch.autograd.gradgradcheck(soft_rank, (values, eps))


def test_function_transforms_reach_through():
    values = torch.randn(2, 6, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: soft_rank(v, 0.1), values)
    torch.testing.assert_close(torch.func.jacfwd(lambda v: soft_rank(v, 0.1))(values), jacobian)
    torch.testing.assert_close(torch.func.jacrev(lambda v: soft_rank(v, 0.1))(values), jacobian)


def test_gradient_reaches_a_float32_input_and_its_own_eps_alike(form):
    values = torch.randn(3, 50)
    eps = torch.tensor([[0.02], [0.1], [10.0]])
    cotangent = torch.randn(3, 50)

    def gradients(dtype):
        leaves = values.to(dtype).requires_grad_(), eps.to(dtype).requires_grad_()
        return torch.autograd.grad(soft_rank(*leaves), leaves, cotangent.to(dtype))

    for narrow, wide in zip(gradients(torch.float32), gradients(torch.float64), strict=True):
        assert narrow.dtype == torch.float32
        torch.testing.assert_close(narrow, wide.float(), rtol=1e-5, atol=1e-4)


def rows_of(shape, dtype):
    """Rows that strain the sort and the pools."""
    n = 500
    normal = torch.randn(3, n, dtype=torch.float64)
    return {
        'normal': normal,
        'rectified': normal.relu(),
        'few values': (normal * 2).round(),
        'sorted': normal.sort(1).values,
        'reversed': normal.sort(1, descending=True).values,
        'heavy tails': normal / torch.rand(3, n, dtype=torch.float64),
        'offset': normal + 1e6,
        'outlier': torch.cat([normal[:, 1:], torch.full((3, 1), 1e6)], 1),
        'clusters': (normal > 0) + 1e-9 * normal,
        'zeros of both signs': torch.where(normal.abs() < 1, 0.0, normal) * normal.roll(1, 1).sign(),
        'linear beside general': torch.cat([normal[:1] * 1e-6, normal[1:] * 1e3]),
    }[shape].to(dtype)


@pytest.mark.parametrize('eps', [1e-9, 2 / 500, 0.02])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize(
    'shape',
    [
        'normal', 'rectified', 'few values', 'sorted', 'reversed', 'heavy tails', 'offset', 'outlier', 'clusters',
        'zeros of both signs', 'linear beside general',
    ],
)  # fmt: skip
@only_compiled
def test_both_forms_have_the_same_ranks_and_gradients(shape, dtype, eps, form):
    values = rows_of(shape, dtype).requires_grad_()
    cotangent = torch.randn(values.shape, dtype=dtype)
    strength = eps * values.detach().double().std(1, keepdim=True)
    results = []
    for function in (soft_rank, by_rounds):
        ranks = function(values, strength)
        # Where eps is tiny, a gradient that is zero but for rounding is divided by it.
        results.append((ranks, strength * torch.autograd.grad(ranks, values, cotangent)[0]))
    (ranks, gradient), (expected_ranks, expected_gradient) = results
    # The rounds round x / eps.
    loose = dict(rtol=1e-6, atol=1e-5) if dtype == torch.float32 else dict(rtol=1e-9, atol=max(1e-6, 1e-14 / eps))
    torch.testing.assert_close(ranks, expected_ranks, **loose)
    torch.testing.assert_close(gradient, expected_gradient, **loose)


@only_compiled
def test_compiled_ranks_are_exact_however_small_eps_is():
    values = torch.randn(2, 300, dtype=torch.float64).relu()
    expected = torch.from_numpy(rankdata(values.numpy(), axis=1))
    assert torch.equal(soft_rank(values, 1e-30), expected)


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


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('place', [0, 5, 19])
@pytest.mark.parametrize('eps', [0.01, 100.0])
def test_numbers_that_are_not_finite_spoil_their_own_row_only(value, place, eps):
    values = torch.randn(3, 20, dtype=torch.float64)
    expected = soft_rank(values, eps)
    values[1, place] = value
    ranks = soft_rank(values, eps)
    assert ranks[1].isnan().any()
    torch.testing.assert_close(ranks[[0, 2]], expected[[0, 2]])


def test_memory_layout_does_not_matter():
    values, cotangent = torch.randn(30, 4).t().requires_grad_(), torch.randn(30, 4).t()
    dense = values.detach().contiguous().requires_grad_()
    (gradient,) = torch.autograd.grad(soft_rank(values, 0.05), values, cotangent)
    (expected,) = torch.autograd.grad(soft_rank(dense, 0.05), dense, cotangent.contiguous())
    assert torch.equal(soft_rank(values, 0.05), soft_rank(dense, 0.05))
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_ranked_in_float64(dtype):
    values = torch.randn(2, 30).to(dtype)
    assert torch.equal(soft_rank(values, 0.05), soft_rank(values.double(), 0.05).to(dtype))


@only_compiled
def test_compiled_programs_fall_back_on_graph_breaks():
    values = torch.randn(2, 40, dtype=torch.float64)
    compiled = torch.compile(lambda v: 2 * soft_rank(v, 0.05), backend='eager')
    torch.testing.assert_close(compiled(values), 2 * soft_rank(values, 0.05))


@only_compiled
def test_without_numba_tensor_operations_are_used(monkeypatch, form):
    values = torch.randn(2, 40, dtype=torch.float64)
    expected = soft_rank(values, 0.05)
    monkeypatch.setattr(_compiled, 'rank_kernels', lambda: None)
    monkeypatch.setattr(module, 'rank_kernels', lambda: None)
    torch.testing.assert_close(soft_rank(values, 0.05), expected)


def test_dtype_of_the_input_is_returned():
    assert soft_rank(torch.randn(1, 5)).dtype == torch.float32
    assert soft_rank(torch.randn(1, 5, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize('shape', [(2, 0), (0, 3), (1, 1)])
def test_degenerate_shapes_are_allowed(shape):
    assert soft_rank(torch.ones(shape), 0.1).shape == shape


def test_true_feature_sizes_are_ranked_in_about_the_time_of_a_sort():
    values = torch.randn(4, 245760, dtype=torch.float64).relu()
    eps = 2 * values.std(1, keepdim=True) / 245760
    soft_rank(values[:, :10], eps)  # or compilation counts too
    begin = time.process_time()
    values.sort(1)
    sorting, begin = time.process_time() - begin, time.process_time()
    soft_rank(values, eps)
    # Measured: 2 to 4 times one sort by rounds, a third of one compiled.
    assert time.process_time() - begin < 20 * sorting


@pytest.mark.parametrize('eps', [0, -1.0, float('nan')])
def test_eps_must_be_positive(eps):
    with pytest.raises(ConfigError, match='eps must be positive'):
        soft_rank(torch.randn(1, 3), eps)


@pytest.mark.parametrize('shape', [(3,), (1, 3), (2, 4)])
def test_a_tensor_eps_must_have_one_number_per_row(shape):
    with pytest.raises(ShapeError, match=r'expected eps to be a number or of shape \(2, 1\)'):
        soft_rank(torch.randn(2, 4), torch.ones(shape))


def test_rows_must_be_two_dimensional():
    with pytest.raises(ShapeError, match=r'expected values of shape \(R, n\), got \(3,\)'):
        soft_rank(torch.randn(3))

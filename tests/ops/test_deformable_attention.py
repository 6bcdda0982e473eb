import math

import pytest
import torch

from mono_distill.ops import deformable_attention as module
from mono_distill.ops.deformable_attention import deformable_attention
from mono_distill.utils.errors import ShapeError

SHAPES = [(5, 7), (2, 3)]


def random_inputs(dtype=torch.float64, batch=2, queries=6, heads=3, channels=5):
    value = torch.randn(batch, 41, heads, channels, dtype=dtype)
    # A third of the positions lies outside.
    locations = torch.rand(batch, queries, heads, 2, 4, 2, dtype=dtype) * 1.5 - 0.25
    weights = torch.rand(batch, queries, heads, 2, 4, dtype=dtype)
    return value.requires_grad_(), locations.requires_grad_(), weights.requires_grad_()


def brute_force(value, shapes, locations, weights):
    """Literal loops over samples and the four cells around each."""
    batch, queries, heads, levels, points, _ = locations.shape
    output = torch.zeros(batch, queries, heads, value.shape[3], dtype=value.dtype)
    starts = [0, 35]
    for b, q, h, level, p in torch.cartesian_prod(*[torch.arange(n) for n in (batch, queries, heads, levels, points)]):
        height, width = shapes[level]
        x, y = (locations[b, q, h, level, p] * torch.tensor([width, height]) - 0.5).tolist()
        for column in (math.floor(x), math.floor(x) + 1):
            for row in (math.floor(y), math.floor(y) + 1):
                if 0 <= column < width and 0 <= row < height:
                    share = (1 - abs(x - column)) * (1 - abs(y - row))
                    cell = value[b, starts[level] + row * width + column, h]
                    output[b, q, h] += weights[b, q, h, level, p] * share * cell
    return output.flatten(2)


def results(function):
    torch.manual_seed(3)
    inputs = random_inputs()
    output = function(inputs[0], SHAPES, *inputs[1:])
    output.square().sum().backward()
    return [output.detach(), *[tensor.grad for tensor in inputs]]


def test_the_sum_of_bilinear_samples():
    inputs = [tensor.detach() for tensor in random_inputs()]
    result = deformable_attention(inputs[0], SHAPES, *inputs[1:])
    torch.testing.assert_close(result, brute_force(inputs[0], SHAPES, *inputs[1:]))


def test_values_and_gradients_do_not_depend_on_the_way():
    compiled, by_grids = results(deformable_attention), results(module._attend_by_grids)
    for name, a, b in zip(('output', 'value', 'locations', 'weights'), compiled, by_grids, strict=True):
        torch.testing.assert_close(a, b, msg=name)


def test_gradients_are_those_of_finite_differences():
    value, locations, weights = random_inputs(batch=1, queries=2, heads=2, channels=2)
    assert torch.autograd.gradcheck(lambda *t: deformable_attention(t[0], SHAPES, *t[1:]), (value, locations, weights))


def test_threads_share_the_heads():
    expected = results(deformable_attention)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for a, b in zip(results(deformable_attention), expected, strict=True):
            assert torch.equal(a, b)
    finally:
        torch.set_num_threads(threads)


def test_without_numba_maps_are_sampled(monkeypatch):
    expected = results(deformable_attention)
    monkeypatch.setattr(module, '_kernels', lambda: None)
    for a, b in zip(results(deformable_attention), expected, strict=True):
        torch.testing.assert_close(a, b)


def test_positions_that_are_no_numbers_do_not_vanish():
    value, locations, weights = (tensor.detach() for tensor in random_inputs(torch.float32))
    locations[0, 1, 2, 0, 0, 0] = float('nan')
    result = deformable_attention(value, SHAPES, locations, weights).unflatten(2, (3, 5))
    assert result[0, 1, 2].isnan().all()
    assert result.isnan().sum() == 5


def test_half_precision_is_possible():
    inputs = [tensor.detach().bfloat16() for tensor in random_inputs(torch.float32)]
    assert deformable_attention(inputs[0], SHAPES, *inputs[1:]).dtype == torch.bfloat16


def test_shapes_that_do_not_fit_are_named():
    value, locations, weights = random_inputs()
    with pytest.raises(ShapeError, match=r'value \(2, 41, 3, 5\), maps .* do not fit; expected \(B, 38, heads, C\)'):
        deformable_attention(value, [(5, 7), (1, 3)], locations, weights)
    with pytest.raises(ShapeError, match='weights'):
        deformable_attention(value, SHAPES, locations, weights[..., :3])

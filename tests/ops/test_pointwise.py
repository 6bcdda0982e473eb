import pytest
import torch
from torch import nn
from torch.nn import functional

from mono_distill.ops.pointwise import Linear, linear, use_fast_linear

# The first is large enough for a convolution.
SHAPES = [(2, 700, 128), (3, 5, 16)]


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('with_bias', [True, False])
def test_values_and_gradients_are_those_of_a_linear_map(shape, with_bias):
    values = torch.randn(shape, requires_grad=True)
    weight = torch.randn(64, shape[-1], requires_grad=True)
    bias = torch.randn(64, requires_grad=True) if with_bias else None
    leaves = [x for x in (values, weight, bias) if x is not None]
    ours, expected = linear(values, weight, bias), functional.linear(values, weight, bias)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-4)
    cotangent = torch.randn_like(expected)
    for a, b in zip(
        torch.autograd.grad(ours, leaves, cotangent), torch.autograd.grad(expected, leaves, cotangent), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def test_any_layout_of_the_tokens_will_do():
    tokens, layer = torch.randn(2, 128, 30, 30), nn.Linear(128, 64)
    tokens = tokens.flatten(2).transpose(1, 2)
    torch.testing.assert_close(linear(tokens, layer.weight, layer.bias), layer(tokens), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_precisions_stay(dtype):
    values, weight = torch.randn(700, 128, dtype=dtype), torch.randn(64, 128, dtype=dtype)
    assert torch.equal(linear(values, weight, None), functional.linear(values, weight))


def test_under_autocast_the_result_is_half_precision():
    values, weight = torch.randn(700, 128), torch.randn(64, 128)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert linear(values, weight, None).dtype == torch.bfloat16


def test_a_model_keeps_its_parameters_and_their_names():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 2, bias=False)))
    before, x = dict(model.named_parameters()), torch.randn(3, 4)
    expected = model(x)
    use_fast_linear(model)
    assert all(before[name] is parameter for name, parameter in model.named_parameters())
    assert type(model[0]) is type(model[2][0]) is Linear
    assert torch.equal(model(x), expected)

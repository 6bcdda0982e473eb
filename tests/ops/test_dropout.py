import pytest
import torch
from torch import nn

from mono_distill.ops import dropout as module
from mono_distill.ops.dropout import Dropout, dropout, use_fast_dropout


@pytest.mark.parametrize('p', [0.1, 0.5])
def test_a_share_is_dropped_and_the_rest_is_scaled(p):
    x = torch.rand(300, 1001) + 0.5
    result = dropout(x, p)
    kept = result != 0
    assert 1 - kept.float().mean().item() == pytest.approx(p, abs=0.003)
    torch.testing.assert_close(result[kept], x[kept] / (1 - p), rtol=1e-4, atol=0)


def test_neighbours_are_dropped_independently():
    dropped = (dropout(torch.ones(400_000), 0.1) == 0).double()
    for lag in (1, 2, 3, 4, 64):
        both = (dropped[lag:] * dropped[:-lag]).mean().item()
        assert both == pytest.approx(0.01, abs=0.001)


def test_draws_follow_the_seed():
    x = torch.ones(1000)
    torch.manual_seed(5)
    first, second = dropout(x, 0.3), dropout(x, 0.3)
    torch.manual_seed(5)
    assert torch.equal(dropout(x, 0.3), first)
    assert not torch.equal(first, second)


def test_the_gradient_is_dropped_alike():
    x = torch.rand(5, 7, dtype=torch.float64, requires_grad=True)
    result = dropout(x.transpose(0, 1), 0.4)
    result.sum().backward()
    torch.testing.assert_close(x.grad * x, result.detach().T)


@pytest.mark.parametrize('shape', [(0,), (1,), (3, 5), ()])
def test_any_shape(shape):
    assert dropout(torch.ones(shape), 0.5).shape == shape


def test_nothing_is_dropped_at_rate_zero_or_in_inference():
    x = torch.rand(9)
    assert dropout(x, 0.0) is x
    assert Dropout(0.5).eval()(x) is x


def test_without_numba_and_in_half_precision_torch_does_it(monkeypatch):
    assert dropout(torch.ones(1000).bfloat16(), 0.5).eq(0).any()
    monkeypatch.setattr(module, '_kernel', lambda: None)
    assert dropout(torch.ones(1000), 0.5).eq(0).any()


def test_every_dropout_of_a_module_is_replaced():
    layers = nn.ModuleDict(dict(a=nn.Dropout(0.2), b=nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3)))).train()
    use_fast_dropout(layers)
    assert [type(m) for m in (layers['a'], layers['b'][1])] == [Dropout, Dropout]
    assert (layers['a'].p, layers['b'][1].p) == (0.2, 0.3)

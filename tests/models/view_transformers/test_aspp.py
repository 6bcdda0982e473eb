import pytest
import torch
from torch.nn import functional as F

from mono_distill.models.view_transformers.aspp import ASPP, WideConv2d


def test_it_has_the_parameters_of_five_branches_and_a_merge():
    channels = 16
    convolutions = channels**2 * (1 + 3 * 9 + 1 + 5)
    norms = 2 * channels * 6
    assert sum(parameter.numel() for parameter in ASPP(channels).parameters()) == convolutions + norms


def test_a_place_sees_as_far_as_its_widest_dilation():
    layer = ASPP(32, dropout=0.0).eval()
    torch.nn.init.zeros_(layer.whole[1].weight)
    x = torch.randn(1, 32, 1, 64, requires_grad=True)
    layer(x)[0, :, 0, 32].sum().backward()
    reached = (x.grad[0].abs().sum((0, 1)) > 0).nonzero().flatten() - 32
    assert set(reached.tolist()) <= {-18, -12, -6, 0, 6, 12, 18}
    assert {-18, 18} <= set(reached.tolist())


def test_a_single_image_trains():
    layer = ASPP(4).train()
    layer(torch.randn(1, 4, 3, 5)).sum().backward()
    assert layer.merge[0].weight.grad.isfinite().all()


@pytest.mark.parametrize('size', [(3, 9), (9, 3), (4, 4), (5, 5), (2, 3)], ids=str)
def test_taps_that_see_padding_only_are_left_out_and_change_nothing(size):
    layer = WideConv2d(3, dilation=4).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    expected = F.conv2d(x, layer.weight, padding=4, dilation=4)
    actual = layer(x)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-12)
    cotangent = torch.randn_like(expected)
    ours, theirs = (torch.autograd.grad(out, [x, layer.weight], cotangent) for out in (actual, expected))
    for gradient, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-12)


def test_a_map_no_larger_than_the_reach_asks_for_fewer_taps(monkeypatch):
    shapes = []
    convolve = F.conv2d
    monkeypatch.setattr(
        F, 'conv2d', lambda x, weight, **rest: shapes.append(weight.shape[2:]) or convolve(x, weight, **rest)
    )
    layer = WideConv2d(2, dilation=4)
    for size in ((5, 5), (4, 5), (4, 4)):
        layer(torch.zeros(1, 2, *size))
    assert shapes == [(3, 3), (1, 3), (1, 1)]

"""Tests of mono_distill.adapters.channel_mean."""

import pytest
import torch

from mono_distill.adapters.channel_mean import ChannelMeanConv
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


def test_one_convolution_of_the_channel_mean():
    adapter, features = ChannelMeanConv(), torch.randn(2, 5, 4, 6)
    expected = torch.nn.functional.conv2d(features.mean(1, keepdim=True), *adapter.parameters(), padding=1)
    torch.testing.assert_close(adapter(features), expected)
    assert sum(p.numel() for p in adapter.parameters()) == 10


def test_gradient_reaches_every_parameter_and_the_input():
    adapter, features = ChannelMeanConv(), torch.randn(2, 5, 4, 6, requires_grad=True)
    adapter(features).square().sum().backward()
    assert all(p.grad.any() for p in adapter.parameters())
    assert features.grad.any()


def test_registry_builds_it():
    assert isinstance(MODELS.build(dict(type='mono_distill.ChannelMeanConv')), ChannelMeanConv)


def test_inputs_that_are_no_map_are_refused():
    with pytest.raises(ShapeError, match=r'expected a map \(B, C, H, W\), got \(2, 5, 4\)'):
        ChannelMeanConv()(torch.randn(2, 5, 4))

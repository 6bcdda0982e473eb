"""Tests of mono_distill.adapters.query_sampler."""

import pytest
import torch

from mono_distill.adapters.query_sampler import BEVQuerySampler
from mono_distill.utils.errors import ConfigError, ShapeError

RANGES = dict(x_range=(-8.0, 8.0), y_range=(-4.0, 4.0))


def coordinates(batch=2, size=(8, 16)):
    """A map whose two channels are the x and y of the cell's centre."""
    height, width = size
    x = -8.0 + (torch.arange(width) + 0.5) * (16.0 / width)
    y = -4.0 + (torch.arange(height) + 0.5) * (8.0 / height)
    return torch.stack([x.expand(size), y.unsqueeze(1).expand(size)]).expand(batch, 2, *size).clone()


def inner_points(batch=2, count=5):
    return (torch.rand(batch, count, 2) - 0.5) * torch.tensor([14.0, 6.0])


@pytest.mark.parametrize('size', [(8, 16), (16, 32), (4, 8)])
def test_a_query_reads_the_map_where_its_object_is(size):
    points = inner_points()
    torch.testing.assert_close(BEVQuerySampler(**RANGES)(coordinates(size=size), points), points)


def test_points_of_the_last_or_of_all_decoder_layers():
    layers = [dict(points=inner_points(), boxes=None) for _ in range(3)]
    last = BEVQuerySampler(**RANGES)(coordinates(), layers)
    torch.testing.assert_close(last, layers[2]['points'])
    torch.testing.assert_close(BEVQuerySampler(**RANGES)(coordinates(), layers[2]), last)
    everywhere = BEVQuerySampler(**RANGES, layers='all')(coordinates(), layers)
    torch.testing.assert_close(everywhere, torch.cat([layer['points'] for layer in layers], dim=1))


def test_past_maps_are_read_at_the_same_places():
    points, past = inner_points(), torch.randn(2, 3, 4, 8, 16)
    sampler = BEVQuerySampler(**RANGES)
    together = sampler(past, points)
    assert together.shape == (2, 3, 5, 4)
    for frame in range(3):
        torch.testing.assert_close(together[:, frame], sampler(past[:, frame], points))


def test_the_gradient_goes_to_the_map_and_not_to_the_points():
    points, features = inner_points().requires_grad_(), coordinates().requires_grad_()
    BEVQuerySampler(**RANGES)(features, points).sum().backward()
    assert points.grad is None
    assert features.grad.abs().sum() > 0


def test_a_linear_layer_is_a_convolution_of_the_map():
    sampler = BEVQuerySampler(**RANGES, project=(2, 7))
    points = inner_points()
    weight, bias = sampler.linear.weight, sampler.linear.bias
    mapped = torch.nn.functional.conv2d(coordinates(), weight[:, :, None, None], bias)
    torch.testing.assert_close(sampler(coordinates(), points), BEVQuerySampler(**RANGES)(mapped, points))
    assert list(BEVQuerySampler(**RANGES).parameters()) == []


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="layers must be 'last' or 'all', got 'first'"):
        BEVQuerySampler(**RANGES, layers='first')
    with pytest.raises(ConfigError, match='x_range'):
        BEVQuerySampler(x_range=(1.0, 1.0), y_range=(0.0, 1.0))
    with pytest.raises(ShapeError, match=r'features \(2, 2, 8, 16\) and points \(3, 5, 2\)'):
        BEVQuerySampler(**RANGES)(coordinates(), inner_points(3))
    with pytest.raises(ShapeError, match='the map has 2 channels, but project begins with 3'):
        BEVQuerySampler(**RANGES, project=(3, 4))(coordinates(), inner_points())
    with pytest.raises(ShapeError, match='no decoder layer'):
        BEVQuerySampler(**RANGES)(coordinates(), [])

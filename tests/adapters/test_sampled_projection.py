from __future__ import annotations

import pytest
import torch
from torch import nn

from mono_distill.adapters.sampled_projection import project_samples
from mono_distill.utils.errors import ShapeError


def test_without_a_layer_nothing_changes():
    sampled = torch.randn(2, 5, 3)
    assert project_samples(sampled, None, owner='Sampler') is sampled


@pytest.mark.parametrize('shape', [(2, 5, 3), (2, 4, 5, 3)])
def test_every_point_goes_through_the_layer(shape):
    sampled, linear = torch.randn(shape), nn.Linear(3, 2)
    expected = sampled @ linear.weight.T + linear.bias
    torch.testing.assert_close(project_samples(sampled, linear, owner='Sampler'), expected)


def test_other_channels_are_named_with_the_owner():
    with pytest.raises(ShapeError, match='Sampler: the map has 4 channels, but project begins with 3'):
        project_samples(torch.zeros(1, 5, 4), nn.Linear(3, 2), owner='Sampler')

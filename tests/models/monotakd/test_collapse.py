"""Tests of mono_distill.models.monotakd.collapse."""

import pytest
import torch

from mono_distill.models.monotakd import BEVCollapse
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


def test_published_size_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in BEVCollapse().parameters()) == 82_176


def test_every_place_sees_its_own_column_channels_outermost():
    module = BEVCollapse(4, 3, 8).eval()
    voxels = torch.randn(2, 4, 3, 5, 6)
    weight = module.conv.weight.view(8, 4, 3)
    expected = torch.einsum('ocz,bczyx->boyx', weight, voxels).relu() / (1 + module.bn.eps) ** 0.5
    torch.testing.assert_close(module(voxels), expected)


def test_output_is_rectified_and_gradient_reaches_everything():
    module = BEVCollapse(4, 3, 8)
    voxels = torch.randn(2, 4, 3, 5, 6, requires_grad=True)
    out = module(voxels)
    assert out.shape == (2, 8, 5, 6)
    assert out.min() == 0
    out.square().mean().backward()
    assert voxels.grad.any()
    assert all(p.grad.any() for p in module.parameters())


def test_registry_builds_it():
    assert isinstance(MODELS.build(dict(type='mono_distill.BEVCollapse', in_channels=4, num_heights=2)), BEVCollapse)


@pytest.mark.parametrize('shape', [(2, 12, 5, 6), (2, 3, 4, 5, 6), (2, 4, 2, 5, 6)])
def test_voxels_that_do_not_fit_are_named(shape):
    with pytest.raises(ShapeError, match=r'built for voxels \(B, 4, 3, Y, X\), got \(2,'):
        BEVCollapse(4, 3, 8)(torch.zeros(shape))

"""Tests of mono_distill.models.monotakd.ffm."""

import pytest
import torch

from mono_distill.models.monotakd import FeatureFusionModule
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


def parameters(**options):
    return sum(p.numel() for p in FeatureFusionModule(**options).parameters())


def test_number_of_parameters_is_published_and_a_norm_of_its_own_adds_to_it():
    assert parameters(share_norm=True) == 476_416
    assert parameters() == 476_416 + 2 * 128


def maps():
    return torch.randn(2, 8, 5, 6), torch.randn(2, 8, 5, 6)


def test_only_the_sum_of_the_maps_matters():
    module = FeatureFusionModule(8, 16).eval()
    visual, spatial = maps()
    torch.testing.assert_close(module(visual, spatial), module(visual + 2 * spatial, -spatial))
    assert module(visual, spatial).min() >= 0


@pytest.mark.parametrize('share_norm', [False, True])
def test_a_shared_norm_normalises_first_and_third_convolution(share_norm):
    module = FeatureFusionModule(8, 16, share_norm=share_norm)
    calls = []
    module.bn1.register_forward_hook(lambda *_: calls.append(1))
    module(*maps())
    assert len(calls) == (2 if share_norm else 1)


def test_gradient_reaches_both_maps_and_all_weights():
    module = FeatureFusionModule(8, 16)
    visual, spatial = (x.requires_grad_() for x in maps())
    module(visual, spatial).square().mean().backward()
    assert torch.equal(visual.grad, spatial.grad)
    assert visual.grad.any()
    assert all(p.grad.any() for p in module.parameters() if p.dim() > 1)


def test_registry_builds_it():
    assert isinstance(MODELS.build(dict(type='mono_distill.FeatureFusionModule', channels=8)), FeatureFusionModule)


def test_maps_that_do_not_fit_are_named():
    visual, spatial = maps()
    with pytest.raises(ShapeError, match=r'got visual \(2, 8, 5, 6\) and spatial \(2, 8, 5, 5\)'):
        FeatureFusionModule(8)(visual, spatial[..., :5])
    with pytest.raises(ShapeError, match=r'built for two maps \(B, 4, H, W\)'):
        FeatureFusionModule(4)(visual, spatial)

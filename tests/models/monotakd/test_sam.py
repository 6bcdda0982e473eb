"""Tests of mono_distill.models.monotakd.sam."""

import pytest
import torch
from torch.nn import functional as F

from mono_distill.models.monotakd import SpatialAlignmentModule
from mono_distill.models.monotakd.sam import AtrousPyramid
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

RELEASED = dict(pyramid='gate', output_relu=True, zero_offsets=False)


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize('options', [{}, RELEASED], ids=['default', 'released'])
def test_published_size_has_the_published_number_of_parameters(options):
    module = SpatialAlignmentModule(**options)
    assert count(module) == 1_004_928
    assert count(module.aspp) == 197_760


@pytest.mark.parametrize('pyramid', ['features', 'gate'])
@pytest.mark.parametrize('output_relu', [False, True])
def test_module_is_what_the_formula_says(pyramid, output_relu):
    module = SpatialAlignmentModule(8, pyramid=pyramid, output_relu=output_relu, zero_offsets=False).eval()
    x = torch.randn(2, 8, 9, 10)
    atrous = module.aspp(x)
    gate = atrous.mean((2, 3))
    for index in (0, 2, 4):
        gate = F.linear(gate, module.gate[index].weight)
        gate = gate.sigmoid() if index == 4 else gate.relu()
    attended = gate[:, :, None, None] * (atrous if pyramid == 'features' else x)
    mixed = attended + module.deform(module.deform(x))
    mixed = F.conv2d(F.conv2d(mixed, module.mix[0].weight, padding=1).relu(), module.mix[2].weight, padding=1)
    torch.testing.assert_close(module(x), mixed.relu() if output_relu else mixed)


def test_only_without_the_last_relu_it_can_follow_a_signed_residual():
    x = torch.randn(2, 8, 9, 10)
    assert (SpatialAlignmentModule(8)(x) < 0).any()
    assert (SpatialAlignmentModule(8, **RELEASED)(x) >= 0).all()


def test_pyramid_sees_as_far_as_its_dilations():
    pyramid = AtrousPyramid(8, dilations=(2, 5)).eval()
    x = torch.zeros(1, 8, 1, 21, requires_grad=True)
    pooled = pyramid.pooled[0].weight
    pooled.data.zero_()
    (gradient,) = torch.autograd.grad(pyramid(x)[..., 10].sum(), x)
    reached = gradient.abs().sum((0, 1, 2)).nonzero().flatten().tolist()
    assert set(reached) == {5, 8, 10, 12, 15}


def test_pyramid_joins_its_branches():
    pyramid = AtrousPyramid(8).eval()
    x = torch.randn(2, 8, 15, 16)
    branches = [branch(x) for branch in pyramid.branches]
    pooled = F.interpolate(pyramid.pooled(F.adaptive_avg_pool2d(x, 1)), size=(15, 16), mode='bilinear')
    torch.testing.assert_close(pyramid(x), pyramid.project(torch.cat([*branches, pooled], 1)))


def test_a_single_image_trains_and_leaves_the_pooled_statistics():
    module = SpatialAlignmentModule(8).train()
    before = {name: value.clone() for name, value in module.aspp.pooled[1].named_buffers()}
    out = module(torch.randn(1, 8, 9, 10))
    out.square().mean().backward()
    assert out.isfinite().all()
    assert all(p.grad is not None for p in module.parameters())
    for name, value in module.aspp.pooled[1].named_buffers():
        assert torch.equal(value, before[name])
    assert module.aspp.branches[0][1].num_batches_tracked == 1


@pytest.mark.parametrize(('norm_groups', 'learns'), [(None, False), (2, True)])
def test_the_pooled_branch_learns_from_a_single_image_with_group_norm_only(norm_groups, learns):
    module = SpatialAlignmentModule(8, norm_groups=norm_groups).double().train()
    module(torch.randn(1, 8, 9, 10).double()).square().mean().backward()
    gradients = [module.aspp.pooled[0].weight.grad, module.aspp.branches[0][0].weight.grad]
    pooled, plain = (gradient.abs().max().item() for gradient in gradients)
    assert (pooled > 1e-6 * plain) is learns


def test_group_norm_has_as_many_parameters():
    assert count(SpatialAlignmentModule(norm_groups=32)) == 1_004_928


def test_input_is_left_as_it_is():
    x = torch.randn(2, 8, 9, 10)
    kept = x.clone()
    SpatialAlignmentModule(8, **RELEASED)(x)
    assert torch.equal(x, kept)


@pytest.mark.parametrize('options', [{}, RELEASED], ids=['default', 'released'])
def test_gradient_reaches_the_input_and_all_weights(options):
    module = SpatialAlignmentModule(8, **options)
    x = torch.randn(2, 8, 15, 16, requires_grad=True)
    module(x).square().mean().backward()
    assert x.grad.any()
    assert all(p.grad.any() for p in module.parameters() if p.dim() > 1)


def test_autocast_runs():
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert SpatialAlignmentModule(8)(torch.randn(2, 8, 9, 10)).isfinite().all()


def test_registry_builds_it():
    module = MODELS.build(dict(type='mono_distill.SpatialAlignmentModule', channels=8, **RELEASED))
    assert isinstance(module, SpatialAlignmentModule)
    assert "pyramid='gate', output_relu=True" in repr(module)


def test_unknown_pyramid_and_maps_that_do_not_fit_are_named():
    with pytest.raises(ConfigError, match="pyramid must be 'features' or 'gate', got 'both'"):
        SpatialAlignmentModule(8, pyramid='both')
    with pytest.raises(ShapeError, match=r'built for maps \(B, 8, H, W\), got \(1, 4, 6, 6\)'):
        SpatialAlignmentModule(8)(torch.zeros(1, 4, 6, 6))

"""Tests of mono_distill.models.monotakd.scnet."""

import pytest
import torch
from torch.nn import functional as F

from mono_distill.models.monotakd import SCNet
from mono_distill.models.monotakd.scnet import SCBottleneck
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


def randomise_norms(module):
    """Give every batch norm statistics and parameters that a wrong order would show."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for value in (part.running_mean, part.weight.data, part.bias.data):
                value.normal_()
            part.running_var.uniform_(0.5, 2)
    return module


def test_published_size_has_the_published_number_of_parameters():
    net = SCNet()
    assert len(net) == 4
    assert sum(p.numel() for p in net.parameters()) == 726_016


def test_bottleneck_is_what_the_paper_draws():
    block = randomise_norms(SCBottleneck(8)).eval()
    x = torch.randn(2, 8, 9, 13)

    def conv_norm(x, conv, norm, padding):
        x = F.conv2d(x, conv.weight, conv.bias, padding=padding)
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)

    a = conv_norm(x, block.conv1_a, block.bn1_a, 0).relu()
    a = conv_norm(a, block.k1[0], block.k1[1], 1).relu()
    b = conv_norm(x, block.conv1_b, block.bn1_b, 0).relu()
    coarse = conv_norm(F.avg_pool2d(b, 4), block.scconv.k2[1], block.scconv.k2[2], 1)
    gate = (b + F.interpolate(coarse, size=(9, 13), mode='nearest')).sigmoid()
    b = conv_norm(conv_norm(b, *block.scconv.k3, 1) * gate, *block.scconv.k4, 1).relu()
    expected = (conv_norm(torch.cat([a, b], 1), block.conv3, block.bn3, 0) + x).relu()
    torch.testing.assert_close(block(x), expected)


def test_input_is_left_as_it_is():
    x = torch.randn(1, 8, 8, 8)
    kept = x.clone()
    SCNet(8, 2)(x)
    assert torch.equal(x, kept)


def test_gradient_reaches_the_input_and_all_parameters_but_idle_biases():
    net = SCNet(8, 2)
    x = torch.randn(2, 8, 12, 12, requires_grad=True)
    net(x).square().mean().backward()
    assert x.grad.any()
    assert all(p.grad is not None for p in net.parameters())
    assert all(p.grad.any() for p in net.parameters() if p.dim() > 1)


def test_a_single_image_trains():
    assert SCNet(8, 1).train()(torch.randn(1, 8, 8, 8)).isfinite().all()


@pytest.mark.parametrize('full_precision', [False, True])
def test_full_precision_is_kept_under_autocast_only_when_asked_for(full_precision):
    net = SCNet(8, 1, full_precision=full_precision).eval()
    x = torch.randn(1, 8, 8, 8)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = net(x)
    assert torch.equal(inside, net(x)) is full_precision
    assert 'full_precision=True' in repr(SCNet(8, 1, full_precision=True))


def test_registry_builds_it():
    assert isinstance(MODELS.build(dict(type='mono_distill.SCNet', channels=8, num_blocks=1)), SCNet)


@pytest.mark.parametrize('shape', [(1, 4, 8, 8), (1, 8, 3, 8), (8, 8, 8)])
def test_maps_that_do_not_fit_are_named(shape):
    with pytest.raises(ShapeError, match=r'built for maps \(B, 8, H, W\) with at least 4 rows and columns'):
        SCNet(8, 1)(torch.zeros(shape))

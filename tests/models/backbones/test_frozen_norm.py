import copy

import pytest
import torch
from mmdet.models.backbones import ResNet
from torch import nn

from mono_distill.models import ImageNetResNet
from mono_distill.models.backbones.frozen_norm import can_fold, conv_norm

FROZEN = dict(out_indices=(1, 2, 3), frozen_stages=1, norm_cfg=dict(type='BN', requires_grad=False), norm_eval=True)


def pair(bias=False, **options):
    conv, norm = nn.Conv2d(4, 6, 3, bias=bias, **options), nn.BatchNorm2d(6).eval().requires_grad_(False)
    for value in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(value)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return conv, norm


@pytest.mark.parametrize('options', [{}, dict(bias=True), dict(stride=2, padding=2, dilation=2), dict(groups=2)])
def test_values_and_gradients_are_those_of_two_steps(options):
    conv, norm = pair(**options)
    conv, norm = conv.double(), norm.double()
    x = torch.randn(2, 4, 9, 11, dtype=torch.float64, requires_grad=True)
    results = []
    for function in (conv_norm, lambda c, n, v: n(c(v))):
        out = function(conv, norm, x)
        results.append((out, *torch.autograd.grad(out.square().sum(), [x, *conv.parameters()])))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


def test_only_frozen_norms_are_taken_in():
    conv, norm = pair()
    assert can_fold(conv, norm)
    assert not can_fold(conv, copy.deepcopy(norm).train())
    assert not can_fold(conv, copy.deepcopy(norm).requires_grad_())
    assert not can_fold(conv, nn.GroupNorm(2, 6))
    assert not can_fold(conv, nn.BatchNorm2d(6, track_running_stats=False).eval().requires_grad_(False))
    norm.register_forward_hook(lambda *args: None)
    assert not can_fold(conv, norm)


@pytest.mark.parametrize('depth', [18, 50])
def test_backbones_are_those_of_mmdet(depth):
    ours, theirs = (kind(depth, base_channels=8, **FROZEN) for kind in (ImageNetResNet, ResNet))
    ours.train()
    theirs.train()
    for name, value in ours.state_dict().items():
        if 'running' in name or name.endswith('bias'):
            nn.init.uniform_(value, 0.5, 1.5)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 3, 64, 96)
    for a, b in zip(ours(x), theirs(x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    sum(m.square().mean() for m in ours(x)).backward()
    sum(m.square().mean() for m in theirs(x)).backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), name
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_trained_norms_stay_trained():
    backbone = ImageNetResNet(18, base_channels=8, norm_eval=False)
    before = backbone.layer1[0].bn1.running_mean.clone()
    backbone(torch.randn(2, 3, 64, 64))[0].sum().backward()
    assert not torch.equal(backbone.layer1[0].bn1.running_mean, before)
    assert backbone.layer1[0].bn1.weight.grad is not None

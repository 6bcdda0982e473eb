from __future__ import annotations

import math

import pytest
import torch

from mono_distill.losses.ddn import DDNLoss, ddn_loss
from mono_distill.utils.errors import ConfigError, ShapeError

NEAR, FAR = 1e-3, 60.0


def inputs(dtype=torch.float64, bins=80):
    """Logits and depths of which a third is background and some lie beyond the range."""
    logits = torch.randn(2, bins + 1, 4, 5, dtype=dtype) * 2
    depth = torch.rand(2, 1, 4, 5, dtype=dtype) * 70
    return logits, torch.where(torch.rand_like(depth) < 0.3, 0.0, depth)


def literal(logits, depth, smoothing=0.0):
    """Pixel by pixel, with the bin found by walking along the edges."""
    bins = logits.shape[1] - 1
    edges = [NEAR + (FAR - NEAR) * i * (i + 1) / (bins * (bins + 1)) for i in range(bins + 1)]
    total, pixels = 0.0, 0
    for b in range(len(logits)):
        for y in range(logits.shape[2]):
            for x in range(logits.shape[3]):
                z = depth[b, 0, y, x].item()
                k = next((i for i in range(bins) if edges[i] <= z < edges[i + 1]), bins)
                p = logits[b, :, y, x].softmax(0)
                target = torch.full_like(p, smoothing)
                target[k] += 1
                focal = (-0.25 * target * (1 - p) ** 2 * p.log()).sum()
                total = total + (13 if z > 0 else 1) * focal
                pixels += 1
    return total / pixels


@pytest.mark.parametrize('smoothing', [0.0, 1e-6, 0.1])
@pytest.mark.parametrize('bins', [3, 80])
def test_equals_the_formula_pixel_by_pixel_with_gradients(bins, smoothing):
    logits, depth = inputs(bins=bins)
    leaves = [logits.clone().requires_grad_() for _ in range(2)]
    ours, expected = ddn_loss(leaves[0], depth, smoothing=smoothing), literal(leaves[1], depth, smoothing)
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(loss, leaf)[0] for loss, leaf in zip((ours, expected), leaves, strict=True)]
    torch.testing.assert_close(*gradients)


def test_one_pixel_of_foreground_weighs_thirteen_times_as_much():
    logits = torch.zeros(1, 81, 1, 1)
    background = ddn_loss(logits, torch.zeros(1, 1, 1, 1))
    foreground = ddn_loss(logits, torch.full((1, 1, 1, 1), 20.0))
    assert background.item() == pytest.approx(0.25 * (80 / 81) ** 2 * math.log(81))
    assert foreground.item() == pytest.approx(13 * background.item())


def test_objects_beyond_the_range_are_of_the_extra_class_but_still_foreground():
    logits = torch.zeros(1, 81, 1, 1)
    logits[0, 80] = 50.0
    assert ddn_loss(logits, torch.full((1, 1, 1, 1), 64.0)) < 1e-6
    assert ddn_loss(logits, torch.full((1, 1, 1, 1), 59.9)) > 100


def test_a_certain_and_right_network_has_no_loss_and_a_finite_gradient():
    logits = torch.zeros(1, 81, 1, 1)
    logits[0, 80] = 1e4
    logits.requires_grad_()
    loss = ddn_loss(logits, torch.zeros(1, 1, 1, 1))
    loss.backward()
    assert loss == 0
    assert logits.grad.isfinite().all()


def test_unknown_pixels_teach_nothing():
    logits, depth = inputs()
    unknown = depth.clone()
    unknown[0, 0, :2] = torch.nan
    logits.requires_grad_()
    loss = ddn_loss(logits, unknown)
    loss.backward()
    assert not logits.grad[0, :, :2].any()
    known = [(0, slice(2, 4)), (1, slice(0, 4))]
    parts = [ddn_loss(logits[[b], :, rows], depth[[b], :, rows], avg_factor=1.0) for b, rows in known]
    torch.testing.assert_close(loss, sum(parts) / 40)


def test_the_divisor_can_be_given():
    logits, depth = inputs()
    torch.testing.assert_close(ddn_loss(logits, depth, avg_factor=torch.tensor(10.0)), 4 * ddn_loss(logits, depth))


def test_module_has_a_weight_and_shows_its_options():
    module = DDNLoss(foreground_weight=5.0, loss_weight=0.5)
    logits, depth = inputs()
    assert module(logits, depth) == 0.5 * ddn_loss(logits, depth, foreground_weight=5.0)
    assert 'foreground_weight=5.0' in repr(module)
    assert 'loss_weight=0.5' in repr(module)


def test_wrong_input_and_options_are_named():
    logits, depth = inputs()
    with pytest.raises(ShapeError, match=r'teacher has shape \(2, 4, 5\), expected \(2, 1, 4, 5\)'):
        ddn_loss(logits, depth[:, 0])
    with pytest.raises(ShapeError, match='D bins and the background'):
        ddn_loss(logits[0], depth)
    with pytest.raises(ConfigError, match='gamma must be 0 or at least 1, got 0.5'):
        DDNLoss(gamma=0.5)
    with pytest.raises(ConfigError, match='DDNLoss: smoothing'):
        DDNLoss(smoothing=-1.0)
    with pytest.raises(ConfigError, match='DDNLoss: depth_range'):
        DDNLoss(depth_range=(60.0, 1.0))

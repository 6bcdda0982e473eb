"""Tests of mono_distill.ops.resize."""

import pytest
import torch
import torch.nn.functional as F

from mono_distill.ops import resize_bilinear, resize_to_coarsest


def interpolate(features, size):
    return F.interpolate(features, size=size, mode='bilinear', align_corners=False)


@pytest.mark.parametrize('factor', [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (1, 4), (6, 2), (3, 3), (5, 5), (3, 2)])
def test_integer_factors_equal_interpolate_to_the_last_rounding(factor):
    features = torch.randn(2, 3, 3 * factor[0], 5 * factor[1], dtype=torch.float64)
    torch.testing.assert_close(resize_bilinear(features, (3, 5)), interpolate(features, (3, 5)), rtol=0, atol=2e-15)


def test_odd_factors_take_the_central_pixel():
    features = torch.randn(1, 1, 9, 6)
    assert torch.equal(resize_bilinear(features, (3, 2)), features[:, :, 1::3, 1::3])


@pytest.mark.parametrize('size', [(3, 5), (7, 4), (20, 30)])
def test_other_factors_and_enlarging_fall_back_to_interpolate(size):
    features = torch.randn(1, 2, 10, 15, dtype=torch.float64)
    assert torch.equal(resize_bilinear(features, size), interpolate(features, size))


@pytest.mark.parametrize('factor', [2, 3, 4, 8])
def test_gradients_equal_those_of_interpolate(factor):
    features = torch.randn(2, 3, 2 * factor, 3 * factor, dtype=torch.float64, requires_grad=True)
    cotangent = torch.randn(2, 3, 2, 3, dtype=torch.float64)
    (ours,) = torch.autograd.grad(resize_bilinear(features, (2, 3)), features, cotangent)
    (theirs,) = torch.autograd.grad(interpolate(features, (2, 3)), features, cotangent)
    torch.testing.assert_close(ours, theirs)


def test_layout_of_the_input_does_not_matter():
    features = torch.randn(2, 6, 8, 12)
    expected = resize_bilinear(features, (2, 3))
    assert torch.equal(resize_bilinear(features.to(memory_format=torch.channels_last), (2, 3)), expected)
    assert torch.equal(resize_bilinear(features.transpose(2, 3).contiguous().transpose(2, 3), (2, 3)), expected)


def test_same_size_returns_the_input():
    features = torch.randn(1, 1, 4, 4)
    assert resize_bilinear(features, (4, 4)) is features


def test_levels_meet_at_the_one_with_the_fewest_pixels_whatever_their_order():
    levels = [torch.randn(1, 2, 2, 3), torch.randn(1, 4, 8, 12), torch.randn(1, 3, 4, 6)]
    assert [tuple(level.shape) for level in resize_to_coarsest(levels)] == [(1, 2, 2, 3), (1, 4, 2, 3), (1, 3, 2, 3)]

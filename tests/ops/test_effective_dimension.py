"""Tests of mono_distill.ops.effective_dimension."""

from __future__ import annotations

import math

import pytest
import torch

from mono_distill.ops.effective_dimension import effective_dimension, effective_dimensions
from mono_distill.utils.errors import ShapeError


def test_it_is_the_ratio_of_the_norms_of_the_eigenvalues():
    features = torch.randn(4, 50, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64) + 3
    eigenvalues = torch.linalg.eigvalsh(torch.cov(features.flatten(0, 1).T))
    torch.testing.assert_close(effective_dimension(features), eigenvalues.sum() / eigenvalues.norm())


@pytest.mark.parametrize('valid', [None, torch.tensor([[True] * 9, [True] * 4 + [False] * 5])])
def test_several_features_at_once_are_the_same_as_one_by_one(valid):
    features = torch.randn(3, 2, 9, 5, dtype=torch.float64)
    singly = torch.stack([effective_dimension(each, valid) for each in features])
    torch.testing.assert_close(effective_dimensions(features, valid), singly)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_points_that_all_exist_need_no_mask(dtype):
    features = torch.randn(2, 9, 5, dtype=dtype)
    masked = effective_dimension(features, torch.ones(2, 9, dtype=torch.bool))
    torch.testing.assert_close(effective_dimension(features), masked)


def test_independent_channels_reach_the_square_root_of_their_number():
    assert effective_dimension(torch.randn(20000, 16)).item() == pytest.approx(4.0, rel=0.01)


def test_repeated_channels_do_not_count():
    features = torch.randn(500, 4, dtype=torch.float64)
    torch.testing.assert_close(effective_dimension(features.repeat(1, 5)), effective_dimension(features))


def test_collapse_to_a_line_is_one():
    features = torch.randn(100, 1) * torch.randn(8)
    assert effective_dimension(features).item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize('points', [0, 1, 5, 900])
@pytest.mark.parametrize('value', [1.0, 0.1, -7.7])
def test_features_that_do_not_vary_have_dimension_zero(points, value):
    assert effective_dimension(value * torch.arange(1, 4).expand(points, 3) / 3).item() == 0.0


def test_scale_and_offset_change_nothing():
    features = torch.randn(200, 5)
    assert effective_dimension(7 * features - 100).item() == pytest.approx(
        effective_dimension(features).item(), rel=1e-3
    )


def test_points_that_do_not_exist_may_hold_anything():
    features = torch.randn(3, 10, 4)
    valid = torch.rand(3, 10) > 0.3
    expected = effective_dimension(features[valid])
    features[~valid] = float('nan')
    torch.testing.assert_close(effective_dimension(features, valid), expected)


def test_half_precision_is_raised_and_no_gradient_is_kept():
    features = torch.randn(50, 4).half()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        dimension = effective_dimension(features.requires_grad_())
    assert dimension.dtype == torch.float32
    assert not dimension.requires_grad
    torch.testing.assert_close(dimension, effective_dimension(features.detach().float()))
    assert math.isfinite(dimension.item())


def test_a_mask_that_does_not_fit_is_named():
    with pytest.raises(ShapeError, match=r'valid has shape \(4,\), expected \(5,\), one entry per point'):
        effective_dimension(torch.zeros(5, 3), torch.ones(4, dtype=torch.bool))

"""Tests of mono_distill.losses.feature_scale."""

import pytest
import torch

from mono_distill.losses.feature_scale import check_scale, rescale_features
from mono_distill.utils.errors import ConfigError


def maps():
    return torch.rand(2, 3, 4, 5, dtype=torch.float64) * torch.tensor([1.0, 50.0]).view(2, 1, 1, 1) + 2


@pytest.mark.parametrize('scale', ['minmax', 'mean', 'standard'])
def test_statistics_of_images_are_those_of_each_image_alone(scale):
    x = maps()
    alone = torch.cat([rescale_features(image[None], scale, 'batch') for image in x])
    torch.testing.assert_close(rescale_features(x, scale, 'image'), alone)


@pytest.mark.parametrize('statistics', ['image', 'batch'])
def test_every_scale_does_what_its_table_says(statistics):
    x = maps()
    groups = list(x) if statistics == 'image' else [x]
    expected = {
        'minmax': [(g - g.min()) / (g.max() - g.min()) for g in groups],
        'mean': [g / g.mean() for g in groups],
        'standard': [(g - g.mean()) / g.var(correction=0).sqrt() for g in groups],
    }
    for scale, parts in expected.items():
        parts = torch.stack(parts).view_as(x)
        torch.testing.assert_close(rescale_features(x, scale, statistics), parts)


def test_without_a_scale_the_map_is_returned_itself():
    x = maps()
    assert rescale_features(x, None) is x


@pytest.mark.parametrize(
    ('scale', 'value', 'expected'),
    [('minmax', 3.0, 0.0), ('minmax', 0.0, 0.0), ('mean', 3.0, 1.0), ('mean', 0.0, 0.0), ('standard', 3.0, 0.0)],
)
def test_a_constant_map_stays_finite_with_finite_gradient(scale, value, expected):
    x = torch.full((1, 2, 3, 4), value, requires_grad=True)
    result = rescale_features(x, scale)
    torch.testing.assert_close(result, torch.full_like(x, expected))
    (gradient,) = torch.autograd.grad(result.square().sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize('scale', ['minmax', 'mean', 'standard'])
@pytest.mark.parametrize('unit', [1e-25, 1e-3, 1e4, 1e25])
def test_the_unit_of_the_features_does_not_matter(scale, unit):
    x = maps().float()
    torch.testing.assert_close(rescale_features(unit * x, scale), rescale_features(x, scale), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('value', [0.0, 0.1, -1e-20, 3e7])
def test_a_map_constant_up_to_rounding_is_standardised_to_zeros_without_gradient(value):
    x = torch.full((1, 2, 3, 4), value)
    x[0, 0, 0, 0] *= 1 + 2e-7
    x.requires_grad_()
    result = rescale_features(x, 'standard')
    (gradient,) = torch.autograd.grad(result.sum() + result.square().sum(), x)
    assert not result.any()
    assert not gradient.any()


def test_a_map_that_varies_in_one_place_only_is_not_constant():
    x = torch.full((1, 1, 1, 4), 100.0)
    x[..., 0] += 0.01
    torch.testing.assert_close(rescale_features(x, 'standard').flatten()[0].item(), 3**0.5, rtol=1e-2, atol=0)


def test_nan_is_not_hidden():
    x = maps()
    x[0, 0, 0, 0] = float('nan')
    assert rescale_features(x, 'standard')[0].isnan().all()


@pytest.mark.parametrize('scale', ['minmax', 'mean', 'standard'])
@pytest.mark.parametrize('statistics', ['image', 'batch'])
def test_gradient_flows_through_the_statistics(scale, statistics):
    x = maps().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rescale_features(x, scale, statistics), x)


def test_unknown_options_are_refused_by_name():
    with pytest.raises(ConfigError, match="demo: normalize must be None, minmax, mean, standard, got 'l2'"):
        check_scale('l2', 'image', owner='demo')
    with pytest.raises(ConfigError, match="demo: statistics must be 'image' or 'batch', got 'channel'"):
        check_scale(None, 'channel', owner='demo')

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
        'standard': [(g - g.mean()) / (g.var(correction=0) + 1e-5).sqrt() for g in groups],
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
@pytest.mark.parametrize('statistics', ['image', 'batch'])
def test_gradient_flows_through_the_statistics(scale, statistics):
    x = maps().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: rescale_features(x, scale, statistics), x)


def test_unknown_options_are_refused_by_name():
    with pytest.raises(ConfigError, match="demo: normalize must be None, minmax, mean, standard, got 'l2'"):
        check_scale('l2', 'image', owner='demo')
    with pytest.raises(ConfigError, match="demo: statistics must be 'image' or 'batch', got 'channel'"):
        check_scale(None, 'channel', owner='demo')

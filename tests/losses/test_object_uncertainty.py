"""Tests of mono_distill.losses.object_uncertainty."""

import pytest
import torch

from mono_distill.losses.object_uncertainty import object_log_scales
from mono_distill.utils.errors import ConfigError, ShapeError


def test_confidences_at_the_centres_equal_official_ones(golden):
    data = golden('monostl_feature_relation')
    for side in ('student', 'teacher'):
        log_scales = object_log_scales(
            torch.from_numpy(data[f'{side}_logvar']), torch.from_numpy(data['indices_all']), owner='test'
        )
        torch.testing.assert_close((-log_scales).exp(), torch.from_numpy(data[f'{side}_conf']), rtol=1e-6, atol=0)


def test_numbers_per_object_are_taken_as_they_are():
    values = torch.randn(2, 3)
    assert torch.equal(object_log_scales(values, torch.zeros(2, 3, dtype=torch.long), owner='test'), values)


def test_half_precision_is_raised_and_the_gradient_cut():
    values = torch.ones(1, 2, dtype=torch.float16, requires_grad=True)
    log_scales = object_log_scales(values, torch.zeros(1, 2, dtype=torch.long), param='variance', owner='test')
    assert log_scales.dtype == torch.float32
    assert log_scales.tolist() == [[0.5, 0.5]]
    assert not log_scales.requires_grad


def test_unknown_parametrisations_and_shapes_are_named():
    indices = torch.zeros(1, 2, dtype=torch.long)
    with pytest.raises(ConfigError, match="demo: unknown param 'scales'; did you mean 'scale'"):
        object_log_scales(torch.zeros(1, 2), indices, param='scales', owner='demo')
    with pytest.raises(
        ShapeError, match=r'demo: log_scale has shape \(1, 3\), expected one number per object \(1, 2\)'
    ):
        object_log_scales(torch.zeros(1, 3), indices, owner='demo')

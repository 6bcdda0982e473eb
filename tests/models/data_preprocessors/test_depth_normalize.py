from __future__ import annotations

import pytest
import torch

from mono_distill.models.data_preprocessors import DEPTH_NORMALIZATIONS, normalize_depth
from mono_distill.utils.errors import ConfigError

DEPTH = torch.tensor([0.0, 8.765, 20.04, 80.0])


def test_metric_depth_has_the_scale_of_a_normalised_picture():
    torch.testing.assert_close(normalize_depth(DEPTH), torch.tensor([-0.77738, 0.0, 1.0, 6.31796]), atol=1e-4, rtol=0)


def test_monodistill_applies_the_metre_statistics_after_dividing_by_80():
    expected = (DEPTH / 80 - 8.765) / 11.275
    torch.testing.assert_close(normalize_depth(DEPTH, 'monodistill'), expected)
    assert normalize_depth(DEPTH, 'monodistill').min() > -0.7775
    assert normalize_depth(DEPTH, 'monodistill').max() < -0.6886


def test_monoskd_divides_metres_by_256_and_80():
    torch.testing.assert_close(normalize_depth(DEPTH, 'monoskd'), DEPTH / 20480)


@pytest.mark.parametrize('mode', DEPTH_NORMALIZATIONS)
def test_missing_depth_is_the_smallest_value(mode):
    missing, nearest = normalize_depth(torch.tensor([0.0, 0.5]), mode)
    assert missing < nearest


def test_the_input_is_not_changed_in_place():
    depth = DEPTH.clone()
    for mode in DEPTH_NORMALIZATIONS:
        normalize_depth(depth, mode)
    assert torch.equal(depth, DEPTH)


def test_an_unknown_mode_is_refused_with_a_hint():
    with pytest.raises(ConfigError, match="unknown depth normalisation 'monoscd'; did you mean 'monoskd'"):
        normalize_depth(DEPTH, 'monoscd')

from __future__ import annotations

import numpy as np
import pytest
import torch

from mono_distill.utils.errors import ConfigError, ShapeError
from mono_distill.visualization import draw_feature_map


def brightness(picture):
    return picture.astype(int).sum(axis=2)


def test_a_strong_place_ahead_and_right_is_bright_at_the_top_right():
    feature = torch.zeros(8, 16, 16)
    feature[:, 14, 13] = 1.0  # y = 14 of 16: far ahead; x = 13: right
    picture = brightness(draw_feature_map(feature))
    assert np.unravel_index(picture.argmax(), picture.shape) == (1, 13)


def test_pictures_in_the_camera_stay_upright():
    feature = torch.zeros(8, 16, 16)
    feature[:, 14, 13] = 1.0
    picture = brightness(draw_feature_map(feature, from_above=False))
    assert np.unravel_index(picture.argmax(), picture.shape) == (14, 13)


def test_brightness_follows_the_norm_over_channels():
    feature = torch.zeros(2, 1, 4)
    feature[0, 0] = torch.tensor([0.0, 3.0, 0.0, -5.0])
    feature[1, 0] = torch.tensor([0.0, 4.0, 2.0, 0.0])
    picture = brightness(draw_feature_map(feature))[0]  # norms 0, 5, 2, 5
    assert picture[1] == picture[3] > picture[2] > picture[0]


def test_one_peak_does_not_darken_the_rest():
    feature = torch.rand(4, 40, 40) + 0.5
    calm = draw_feature_map(feature)
    feature[:, 3, 3] *= 1000
    np.testing.assert_allclose(brightness(draw_feature_map(feature)).mean(), brightness(calm).mean(), rtol=0.05)


def test_what_is_not_finite_is_marked():
    feature = torch.rand(3, 4, 4)
    feature[1, 0, 2] = float('nan')
    picture = draw_feature_map(feature)
    assert picture[3, 2].tolist() == [255, 0, 255]
    assert (picture != picture[3, 2]).any(axis=2).sum() == 15


def test_an_empty_map_is_dark_and_a_heat_map_is_drawn_as_it_is():
    assert len(np.unique(draw_feature_map(torch.zeros(3, 5, 5)).reshape(-1, 3), axis=0)) == 1
    heat = torch.zeros(5, 5)
    heat[0, 0] = 0.9
    assert np.unravel_index(brightness(draw_feature_map(heat)).argmax(), (5, 5)) == (4, 0)


def test_it_is_enlarged_to_the_size():
    assert draw_feature_map(torch.rand(2, 10, 20), size=50).shape == (50, 100, 3)


def test_a_batch_is_refused():
    with pytest.raises(ShapeError, match=r'must be \(C, H, W\) or \(H, W\), got \(1, 2, 3, 4\); take one sample'):
        draw_feature_map(torch.zeros(1, 2, 3, 4))


@pytest.mark.parametrize('options', [dict(quantile=0.0), dict(quantile=1.5), dict(size=0)])
def test_impossible_arguments_are_refused(options):
    with pytest.raises(ConfigError, match='draw_feature_map: expected'):
        draw_feature_map(torch.ones(1, 2, 2), **options)

from __future__ import annotations

import numpy as np
import pytest

from mono_distill.utils.errors import ConfigError
from mono_distill.visualization import compose

SMALL, LARGE = np.full((10, 20, 3), 200, np.uint8), np.full((30, 40, 3), 100, np.uint8)


def test_pictures_stand_side_by_side_unscaled():
    result = compose([('', SMALL), ('', LARGE)], gap=4)
    assert result.shape == (30, 64, 3)
    np.testing.assert_array_equal(result[:10, :20], SMALL)
    np.testing.assert_array_equal(result[:30, 24:], LARGE)
    assert (result[10:, :20] < 100).all()


def test_pictures_stand_below_each_other():
    result = compose([('', SMALL), ('', LARGE)], direction='vertical', gap=4)
    assert result.shape == (44, 40, 3)
    np.testing.assert_array_equal(result[14:], LARGE)


def test_a_caption_adds_a_line_with_text():
    result = compose([('frame 7', LARGE)])
    assert result.shape[0] > 30
    assert result[:-30].max() > 150
    np.testing.assert_array_equal(result[-30:], LARGE)


def test_nothing_cannot_be_composed():
    with pytest.raises(ConfigError, match='at least one picture'):
        compose([])


def test_an_unknown_direction_is_refused():
    with pytest.raises(ConfigError, match="'horizontal' or 'vertical', got 'diagonal'"):
        compose([('', SMALL)], direction='diagonal')

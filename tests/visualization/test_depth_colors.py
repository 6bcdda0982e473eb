from __future__ import annotations

import numpy as np
import pytest
import torch

from mono_distill.utils.errors import ShapeError
from mono_distill.visualization import colorize_depth


def test_near_is_red_far_is_blue_and_missing_is_black():
    picture = colorize_depth(np.array([[3.0, 70.0, 0.0]])).astype(int)
    blue, _, red = picture[0].T
    assert red[0] > blue[0]
    assert blue[1] > red[1]
    assert not picture[0, 2].any()


def test_depths_beyond_the_scale_saturate():
    picture = colorize_depth(np.array([[0.5, 2.0, 80.0, 500.0]]))
    np.testing.assert_array_equal(picture[0, 0], picture[0, 1])
    np.testing.assert_array_equal(picture[0, 2], picture[0, 3])
    assert picture[0, 3].any()


def test_tensors_with_a_channel_are_accepted():
    depth = torch.rand(1, 4, 5) * 60
    np.testing.assert_array_equal(colorize_depth(depth), colorize_depth(depth[0].numpy()))


def test_single_measurements_can_be_widened_with_the_nearest_on_top():
    depth = np.zeros((5, 8), np.float32)
    depth[2, 2], depth[2, 4] = 10, 5
    widened = colorize_depth(depth, dilate=1)
    assert widened.any(axis=2).sum() == 15
    np.testing.assert_array_equal(widened[2, 3], colorize_depth(depth)[2, 4])


def test_an_empty_depth_map_is_black():
    assert not colorize_depth(np.zeros((3, 4)), dilate=2).any()


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match=r'got \(3, 4, 5\)'):
        colorize_depth(np.zeros((3, 4, 5)))

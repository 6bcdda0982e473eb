"""Smaller pictures, seen by a smaller camera."""

import numpy as np
import pytest
from kitti_bev_samples import SHAPE, bev_results, pixels_of

from mono_distill.datasets import KittiBEVResize
from mono_distill.utils.errors import ConfigError


@pytest.mark.parametrize('width', [80, 100, 320])
def test_points_stay_on_their_part_of_the_picture(width):
    before, after = bev_results(), KittiBEVResize(width)(bev_results())
    height = round(SHAPE[0] * width / SHAPE[1])
    assert after['img'].shape == (height, width, 3)
    assert after['img_shape'] == (height, width)
    points = before['points'].tensor[:100, :3].double().numpy()
    # From the left border of the first pixel, as a share of the picture.
    share = (pixels_of(points, before) + 0.5) / (SHAPE[1], SHAPE[0])
    np.testing.assert_allclose((pixels_of(points, after) + 0.5) / (width, height), share, atol=1e-9)


def test_a_bright_column_stays_where_the_camera_says():
    sample = bev_results()
    sample['img'][:] = 0
    sample['img'][:, 100:104] = 255
    half = KittiBEVResize(80)(sample)['img'][0, :, 0]
    assert half.argmax() == 50
    assert (half > 127).sum() == 2


def test_errors():
    with pytest.raises(ConfigError, match='width'):
        KittiBEVResize(0)
    with pytest.raises(ConfigError, match='depth maps'):
        KittiBEVResize(80)(bev_results(depth_map=np.zeros(SHAPE, np.float32)))

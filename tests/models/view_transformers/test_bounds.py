import pytest
import torch

from mono_distill.models.view_transformers.bounds import DepthBins, bev_grid, bin_depths, depth_bins
from mono_distill.utils.errors import ConfigError

SQUARE = (-51.2, 51.2, 0.8)
HEIGHT = (-5.0, 3.0, 8.0)


def test_a_grid_has_its_rows_along_y():
    grid = bev_grid((-8.0, 8.0, 1.0), (0.0, 4.0, 0.5), HEIGHT)
    assert grid.size == (8, 16)
    assert grid.x_range == (-8.0, 8.0)
    assert grid.y_range == (0.0, 4.0)
    assert grid.z_range == (-5.0, 3.0)


def test_the_published_bins():
    assert depth_bins((2.0, 58.0, 0.5)) == DepthBins((2.0, 58.0), 112)
    assert depth_bins((1.0, 60.0, 1.0)).bins == 59
    assert depth_bins((2.0, 58.0, 2.0)).step == 2.0


def test_bins_are_placed_at_their_edge_or_centre():
    bins = depth_bins((2.0, 5.0, 1.0))
    assert bin_depths(bins, 'edge').tolist() == [2.0, 3.0, 4.0]
    assert bin_depths(bins, 'center').tolist() == [2.5, 3.5, 4.5]


def test_a_class_is_the_bin_that_holds_the_depth():
    bins = depth_bins((2.0, 5.0, 1.0))
    depth = torch.tensor([0.0, 1.9, 2.0, 2.9, 3.0, 4.99, 5.0, float('nan')])
    assert bins.classes(depth).tolist() == [3, 3, 0, 0, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ('bounds', 'words'),
    [
        (((-51.2, 51.2, 0.7), SQUARE, HEIGHT), 'x_bound .* does not divide'),
        ((SQUARE, (0.0, 10.0, 3.0), HEIGHT), 'y_bound .* does not divide'),
        ((SQUARE, SQUARE, (-5.0, 3.0, 4.0)), 'z_bound .* one cell'),
        ((SQUARE, (5.0, -5.0, 1.0), HEIGHT), 'from < to'),
        ((SQUARE, (0.0, 5.0), HEIGHT), r'\(from, to, step\)'),
    ],
)
def test_bounds_that_make_no_grid_are_refused(bounds, words):
    with pytest.raises(ConfigError, match=words):
        bev_grid(*bounds)


def test_bins_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match='d_bound .* does not divide'):
        depth_bins((2.0, 58.0, 0.6))
    with pytest.raises(ConfigError, match='above 0 m'):
        depth_bins((0.0, 58.0, 0.5))
    with pytest.raises(ConfigError, match='bin_position'):
        bin_depths(depth_bins((2.0, 58.0, 0.5)), 'middle')

import math

import pytest
import torch

from mono_distill.ops.depth_bins import depth_bin_targets, depth_to_index, index_to_depth, one_hot_depth
from mono_distill.utils.errors import ConfigError, ShapeError


def test_first_and_last_edge_of_the_kitti_bins():
    edges = torch.tensor([2.0, 46.8], dtype=torch.float64)
    torch.testing.assert_close(depth_to_index(edges), torch.tensor([0.0, 120.0], dtype=torch.float64))


def test_widths_of_the_kitti_bins():
    """The unit is 0.0061708 m; the first bin is that wide, the last 120 times."""
    edges = index_to_depth(torch.arange(121, dtype=torch.float64))
    widths = edges.diff()
    assert widths[0] == pytest.approx(0.0061708, abs=1e-7)
    assert widths[-1] == pytest.approx(0.7405, abs=1e-4)
    torch.testing.assert_close(widths, widths[0] * torch.arange(1, 121, dtype=torch.float64))


@pytest.mark.parametrize('depth', [2.0, 3.7, 17.25, 46.0])
def test_index_is_the_published_formula(depth):
    delta = 2 * (46.8 - 2.0) / (120 * 121)
    expected = -0.5 + 0.5 * math.sqrt(1 + 8 * (depth - 2.0) / delta)
    assert depth_to_index(torch.tensor(depth, dtype=torch.float64)).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('spacing', ['linear_increasing', 'uniform'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_metres_and_indices_invert_each_other(spacing, dtype):
    depth = torch.linspace(2, 58, 500, dtype=dtype)
    options = dict(depth_range=(2.0, 58.0), bins=112, spacing=spacing)
    back = index_to_depth(depth_to_index(depth, **options), **options)
    torch.testing.assert_close(back, depth, rtol=0, atol=1e-10 if dtype is torch.float64 else 2e-5)


def test_uniform_bins_of_bevdepth_start_every_half_metre():
    options = dict(depth_range=(2.0, 58.0), bins=112, spacing='uniform')
    depth = torch.tensor([2.0, 2.49, 2.5, 57.9, 58.0, 1.9])
    assert depth_bin_targets(depth, **options).tolist() == [0, 0, 1, 111, 112, 112]


def test_targets_equal_a_search_between_the_edges():
    edges = index_to_depth(torch.arange(121, dtype=torch.float64)).tolist()
    depth = torch.rand(300, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 60
    expected = [next((k for k in range(120) if edges[k] <= z < edges[k + 1]), 120) for z in depth.tolist()]
    assert depth_bin_targets(depth).tolist() == expected


def test_missing_near_far_and_nan_depths_are_the_extra_class():
    depth = torch.tensor([0.0, 1.999, 46.81, 1e9, float('nan'), float('inf'), float('-inf')])
    assert depth_bin_targets(depth).tolist() == [120] * 7


def test_one_hot_equals_a_loop_and_leaves_the_extra_class_out():
    targets = torch.randint(5, (2, 3, 6), generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(2, 4, 3, 6)
    for b in range(2):
        for v in range(3):
            for u in range(6):
                if targets[b, v, u] < 4:
                    expected[b, targets[b, v, u], v, u] = 1
    assert torch.equal(one_hot_depth(targets, 4), expected)


def test_gradient_equals_finite_differences():
    depth = torch.tensor([2.5, 9.0, 40.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(depth_to_index, depth)
    assert torch.autograd.gradcheck(index_to_depth, depth)


def test_graph_is_captured_whole():
    compiled = torch.compile(lambda z: one_hot_depth(depth_bin_targets(z), 120), fullgraph=True, backend='aot_eager')
    depth = torch.rand(1, 3, 4) * 60
    assert torch.equal(compiled(depth), one_hot_depth(depth_bin_targets(depth), 120))


def test_refuses_impossible_bins():
    with pytest.raises(ConfigError, match='near < far'):
        depth_to_index(torch.ones(1), depth_range=(5.0, 5.0))
    with pytest.raises(ConfigError, match='near < far'):
        index_to_depth(torch.ones(1), bins=0)
    with pytest.raises(ConfigError, match="'linear_increasing' or 'uniform'"):
        depth_bin_targets(torch.ones(1), spacing='sid')
    with pytest.raises(ShapeError, match='targets'):
        one_hot_depth(torch.tensor(1), 3)

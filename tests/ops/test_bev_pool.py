import math

import pytest
import torch

from mono_distill.ops.bev_pool import bev_pool, bev_pool_indices, bev_pool_reference
from mono_distill.utils.errors import ConfigError, ShapeError

SIZE = (5, 6)
GRID = dict(x_range=(-3.0, 3.0), y_range=(-2.0, 3.0), z_range=(-1.0, 2.0))
FRUSTUM = (2, 3, 4, 3, 5)  # batch, cameras, depth bins, height, width


def random_points(seed=0, spread=4.5):
    """Frustum points on and around the map."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(*FRUSTUM, 3, generator=generator, dtype=torch.float64) - 0.5) * 2 * spread


def inputs(dtype=torch.float64, channels=4):
    generator = torch.Generator().manual_seed(1)
    batch, cameras, bins, height, width = FRUSTUM
    context = torch.randn(batch, cameras, channels, height, width, dtype=dtype, generator=generator)
    depth = torch.randn(batch, cameras, bins, height, width, dtype=dtype, generator=generator).softmax(2)
    return context.requires_grad_(), depth.requires_grad_()


def splat(context, depth, points, rounding=math.floor):
    """One frustum point after another."""
    batch, cameras, bins, height, width = depth.shape
    grid = torch.zeros(batch, context.shape[2], *SIZE, dtype=context.dtype)
    for b in range(batch):
        for n in range(cameras):
            for d in range(bins):
                for v in range(height):
                    for u in range(width):
                        x, y, z = points[b, n, d, v, u].tolist()
                        column, row, layer = rounding(x + 3), rounding(y + 2), rounding((z + 1) / 3)
                        if 0 <= column < 6 and 0 <= row < 5 and layer == 0:
                            grid[b, :, row, column] += depth[b, n, d, v, u] * context[b, n, :, v, u]
    return grid


@pytest.mark.parametrize('compact', [True, False])
@pytest.mark.parametrize('rounding', ['floor', 'trunc'])
def test_equals_one_point_after_another_with_both_gradients(rounding, compact):
    points, (context, depth) = random_points(), inputs()
    indices = bev_pool_indices(points, SIZE, **GRID, rounding=rounding, compact=compact)
    expected = splat(context, depth, points, math.floor if rounding == 'floor' else math.trunc)
    cotangent = torch.randn_like(expected)
    expected_gradients = torch.autograd.grad(expected, [context, depth], cotangent)
    for pool in (bev_pool, bev_pool_reference):
        actual = pool(context, depth, indices)
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-10)
        gradients = torch.autograd.grad(actual, [context, depth], cotangent)
        torch.testing.assert_close(gradients, expected_gradients, rtol=0, atol=1e-10)


def test_truncation_keeps_points_below_the_range_that_floor_drops():
    points = torch.tensor([0.5, 0.5, -2.0]).view(1, 1, 1, 1, 1, 3)
    kept = {r: bev_pool_indices(points, SIZE, **GRID, rounding=r).points.numel() for r in ('floor', 'trunc')}
    assert kept == {'floor': 0, 'trunc': 1}


def test_gradient_equals_finite_differences():
    indices = bev_pool_indices(random_points(), SIZE, **GRID)
    assert torch.autograd.gradcheck(lambda c, d: bev_pool(c, d, indices), inputs(channels=2), fast_mode=True)


def test_ahead_is_x_and_left_is_y():
    """One pixel whose ray runs along x at y = 1.5: its features appear in row 3, in the columns of its depths."""
    depths = torch.tensor([0.5, 1.5, 2.5, 3.5])
    points = torch.stack([depths, torch.full((4,), 1.5), torch.zeros(4)], -1).view(1, 1, 4, 1, 1, 3)
    depth = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 1, 4, 1, 1)
    pooled = bev_pool(torch.ones(1, 1, 1, 1, 1), depth, bev_pool_indices(points, SIZE, **GRID))[0, 0]
    torch.testing.assert_close(pooled[3], torch.tensor([0.0, 0.0, 0.0, 0.1, 0.2, 0.3]))
    assert pooled.sum() == pooled[3].sum()


def test_flipping_the_world_flips_the_map():
    points = random_points()
    mirrored = points * torch.tensor([1.0, -1.0, 1.0])
    context, depth = inputs()
    map_ = bev_pool(context, depth, bev_pool_indices(points, SIZE, **GRID))
    grid = {**GRID, 'y_range': (-3.0, 2.0)}
    flipped = bev_pool(context, depth, bev_pool_indices(mirrored, SIZE, **grid))
    torch.testing.assert_close(flipped.flip(2), map_)


def test_all_points_in_one_cell():
    points = torch.zeros(*FRUSTUM, 3).double() + 0.5
    context, depth = inputs()
    pooled = bev_pool(context, depth, bev_pool_indices(points, SIZE, **GRID))
    torch.testing.assert_close(pooled[..., 2, 3], context.sum((1, 3, 4)))
    assert pooled[0].any(0).sum() == 1


@pytest.mark.parametrize('compact', [True, False])
@pytest.mark.parametrize('value', [1e30, float('nan'), float('-inf')])
def test_points_off_the_map_and_not_finite_ones_are_dropped(compact, value):
    context, depth = inputs()
    points = torch.full((*FRUSTUM, 3), value, dtype=torch.float64)
    pooled = bev_pool(context, depth, bev_pool_indices(points, SIZE, **GRID, compact=compact))
    assert pooled.shape == (2, 4, *SIZE)
    assert not pooled.any()
    gradients = torch.autograd.grad(pooled.sum(), [context, depth])
    assert not any(gradient.any() for gradient in gradients)


def test_samples_do_not_influence_each_other():
    points, (context, depth) = random_points(), inputs()
    alone = [
        bev_pool(context[b : b + 1], depth[b : b + 1], bev_pool_indices(points[b : b + 1], SIZE, **GRID))
        for b in range(2)
    ]
    torch.testing.assert_close(bev_pool(context, depth, bev_pool_indices(points, SIZE, **GRID)), torch.cat(alone))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_sum_in_float32(dtype):
    context, depth = (x.detach().to(dtype) for x in inputs(torch.float32))
    indices = bev_pool_indices(random_points().float(), SIZE, **GRID)
    expected = bev_pool(context.float(), depth.float(), indices)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        actual = bev_pool(context, depth, indices)
    assert actual.dtype == torch.float32
    assert torch.equal(actual, expected)


def test_two_runs_are_equal_to_the_bit():
    indices = bev_pool_indices(random_points(), SIZE, **GRID)
    context, depth = inputs(torch.float32)
    results = []
    for _ in range(2):
        pooled = bev_pool(context, depth, indices)
        results.append([pooled, *torch.autograd.grad(pooled.square().sum(), [context, depth])])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_no_volume_is_allocated():
    """Forward and backward together allocate less than a quarter of the volume of bins times features."""
    from torch.profiler import ProfilerActivity, profile

    points = (torch.rand(1, 1, 64, 8, 8, 3) - 0.5) * 6
    indices = bev_pool_indices(points, SIZE, **GRID)
    context = torch.randn(1, 1, 64, 8, 8, requires_grad=True)
    depth = torch.rand(1, 1, 64, 8, 8, requires_grad=True)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorder:
        bev_pool(context, depth, indices).sum().backward()
    events = recorder.profiler.kineto_results.events()
    allocated = sum(event.nbytes() for event in events if event.name() == '[memory]' and event.nbytes() > 0)
    assert 0 < allocated < 64 * 64 * 64 * 4 / 4


def test_graph_is_captured_whole_with_the_indices_made_inside():
    def train(points, context, depth):
        return bev_pool(context, depth, bev_pool_indices(points, SIZE, **GRID, compact=False))

    points, (context, depth) = random_points(), inputs()
    actual = torch.compile(train, fullgraph=True, backend='aot_eager')(points, context, depth)
    expected = bev_pool(context, depth, bev_pool_indices(points, SIZE, **GRID))
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(
        torch.autograd.grad(actual.square().sum(), [context, depth]),
        torch.autograd.grad(expected.square().sum(), [context, depth]),
    )


def test_refuses_what_does_not_fit():
    indices = bev_pool_indices(random_points(), SIZE, **GRID)
    context, depth = inputs()
    with pytest.raises(ShapeError, match=r'the indices are for \(2, 3, C, 3, 5\) and \(2, 3, 4, 3, 5\)'):
        bev_pool(context, depth[:, :, 1:], indices)
    with pytest.raises(ShapeError, match='the indices are for'):
        bev_pool(context[..., 1:], depth, indices)
    with pytest.raises(ShapeError, match=r'points \(B, N, D, h, w, 3\)'):
        bev_pool_indices(torch.zeros(2, 3, 3), SIZE, **GRID)
    with pytest.raises(ConfigError, match="'floor' or 'trunc'"):
        bev_pool_indices(random_points(), SIZE, **GRID, rounding='round')
    with pytest.raises(ConfigError, match='z_range must be'):
        bev_pool_indices(random_points(), SIZE, **{**GRID, 'z_range': (1.0, -1.0)})

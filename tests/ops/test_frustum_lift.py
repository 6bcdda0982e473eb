import itertools
import math

import pytest
import torch

from mono_distill.ops.frustum_lift import frustum_lift, frustum_lift_indices, frustum_lift_reference
from mono_distill.utils.errors import ShapeError

FRUSTUM = (5, 3, 4)  # depth bins, height, width
VOXELS = (3, 4, 2)


def random_coordinates(batch=2, spread=1.5, seed=0):
    """Positions in and around the frustum."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(batch, *VOXELS, 3, dtype=torch.float64, generator=generator) - 0.5) * 2 * spread


def inputs(dtype=torch.float64, batch=2, channels=3, frustum=FRUSTUM):
    generator = torch.Generator().manual_seed(1)
    bins, height, width = frustum
    context = torch.randn(batch, channels, height, width, dtype=dtype, generator=generator).requires_grad_()
    depth = torch.randn(batch, bins, height, width, dtype=dtype, generator=generator).softmax(1)
    return context, depth.detach().requires_grad_()


def sampled_by_hand(context, depth, coordinates):
    """All eight corners of every voxel, one after another."""
    bins, height, width = FRUSTUM
    lifted = torch.zeros(context.shape[0], context.shape[1], *VOXELS, dtype=context.dtype)
    for b, *place in itertools.product(range(context.shape[0]), *map(range, VOXELS)):
        u, v, d = (
            ((c + 1) * n - 1) / 2 for c, n in zip(coordinates[(b, *place)].tolist(), (width, height, bins), strict=True)
        )
        for i, j, k in itertools.product((0, 1), repeat=3):
            column, row, bin_ = math.floor(u) + i, math.floor(v) + j, math.floor(d) + k
            weight = (1 - abs(u - column)) * (1 - abs(v - row)) * (1 - abs(d - bin_))
            if 0 <= column < width and 0 <= row < height and 0 <= bin_ < bins:
                value = weight * context[b, :, row, column] * depth[b, bin_, row, column]
                lifted[(b, slice(None), *place)] += value
    return lifted


@pytest.mark.parametrize('compact', [True, False])
def test_equals_eight_corners_by_hand(compact):
    (context, depth), coordinates = inputs(), random_coordinates()
    actual = frustum_lift(context, depth, frustum_lift_indices(coordinates, FRUSTUM, compact=compact))
    expected = sampled_by_hand(context, depth, coordinates)
    assert actual.shape == (2, 3, *VOXELS)
    assert (expected == 0).any()
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize('compact', [True, False])
@pytest.mark.parametrize('align_corners', [True, False])
@pytest.mark.parametrize('frustum', [FRUSTUM, (1, 3, 4), (5, 1, 1), (2, 1, 4)])
def test_equals_grid_sample_on_the_volume_with_both_gradients(frustum, align_corners, compact):
    context, depth = inputs(frustum=frustum)
    coordinates = random_coordinates()
    indices = frustum_lift_indices(coordinates, frustum, align_corners=align_corners, compact=compact)
    expected = frustum_lift_reference(context, depth, coordinates, align_corners=align_corners)
    actual = frustum_lift(context, depth, indices)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-13)
    cotangent = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(actual, [context, depth], cotangent),
        torch.autograd.grad(expected, [context, depth], cotangent),
        rtol=0,
        atol=1e-12,
    )


def test_positions_on_corners_and_borders():
    """Pixel and bin centres, and the borders of the frustum to the last bit."""
    ticks = torch.tensor([-1.0, -0.75, -0.25, 0.0, 0.25, 0.75, 1.0, 1.25], dtype=torch.float64)
    coordinates = torch.stack(torch.meshgrid(ticks, ticks, ticks, indexing='ij'), -1).unsqueeze(0)
    context, depth = inputs(batch=1, frustum=(4, 4, 4))
    actual = frustum_lift(context, depth, frustum_lift_indices(coordinates, (4, 4, 4)))
    torch.testing.assert_close(actual, frustum_lift_reference(context, depth, coordinates), rtol=0, atol=1e-14)


def test_gradient_equals_finite_differences():
    indices = frustum_lift_indices(random_coordinates(), FRUSTUM)
    assert torch.autograd.gradcheck(lambda c, d: frustum_lift(c, d, indices), inputs(), fast_mode=True)


def test_student_and_assistant_share_the_indices():
    indices = frustum_lift_indices(random_coordinates(), FRUSTUM)
    context, depth = inputs()
    other_context, other_depth = context.detach()[:, :2] + 1, depth.detach().flip(1)
    student, assistant = frustum_lift(context, depth, indices), frustum_lift(other_context, other_depth, indices)
    torch.testing.assert_close(student, frustum_lift_reference(context, depth, random_coordinates()))
    torch.testing.assert_close(assistant, frustum_lift_reference(other_context, other_depth, random_coordinates()))


@pytest.mark.parametrize('compact', [True, False])
@pytest.mark.parametrize('value', [-3.0, 1e30, float('nan'), float('inf')])
def test_voxels_outside_and_not_finite_ones_are_zero(compact, value):
    coordinates = random_coordinates(spread=0.5)
    coordinates[0, ..., 1] = value
    context, depth = inputs()
    lifted = frustum_lift(context, depth, frustum_lift_indices(coordinates, FRUSTUM, compact=compact))
    assert not lifted[0].any()
    assert lifted[1].any()
    gradients = torch.autograd.grad(lifted.sum(), [context, depth])
    assert not any(gradient[0].any() for gradient in gradients)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_sum_in_float32(dtype):
    context, depth = (x.detach().to(dtype) for x in inputs(torch.float32))
    indices = frustum_lift_indices(random_coordinates().float(), FRUSTUM)
    expected = frustum_lift(context.float(), depth.float(), indices)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        actual = frustum_lift(context, depth, indices)
    assert actual.dtype == torch.float32
    assert torch.equal(actual, expected)


def test_graph_is_captured_whole_with_the_indices_made_inside():
    def train(coordinates, context, depth):
        return frustum_lift(context, depth, frustum_lift_indices(coordinates, FRUSTUM, compact=False))

    coordinates, (context, depth) = random_coordinates(), inputs()
    actual = torch.compile(train, fullgraph=True, backend='aot_eager')(coordinates, context, depth)
    expected = train(coordinates, context, depth)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(
        torch.autograd.grad(actual.square().sum(), [context, depth]),
        torch.autograd.grad(expected.square().sum(), [context, depth]),
    )


def test_refuses_what_does_not_fit():
    indices = frustum_lift_indices(random_coordinates(), FRUSTUM)
    context, depth = inputs()
    with pytest.raises(ShapeError, match=r'the indices are for \(2, C, 3, 4\) and \(2, 5, 3, 4\)'):
        frustum_lift(context, depth[:, 1:], indices)
    with pytest.raises(ShapeError, match='the indices are for'):
        frustum_lift(context[..., 1:], depth, indices)
    with pytest.raises(ShapeError, match=r'coordinates \(B, Z, Y, X, 3\)'):
        frustum_lift_indices(torch.zeros(2, 3), FRUSTUM)

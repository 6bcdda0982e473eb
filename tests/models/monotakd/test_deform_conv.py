"""Tests of mono_distill.models.monotakd.deform_conv."""

import math
import re

import pytest
import torch
from torch.nn import functional as F

from mono_distill.models.monotakd.deform_conv import DeformConv2d, deform_conv2d
from mono_distill.utils.errors import ShapeError


def sample(plane, y, x):
    """Bilinear value of a plane with zeros around it."""
    height, width = plane.shape
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * plane[row, column].item()
    return total


def by_loops(x, offset, weight):
    batch, channels, height, width = x.shape
    out = torch.zeros(batch, weight.shape[0], height, width, dtype=x.dtype)
    size = weight.shape[-1]
    for b in range(batch):
        for i in range(height):
            for j in range(width):
                for k in range(size * size):
                    y = i + k // size - size // 2 + offset[b, 2 * k, i, j].item()
                    z = j + k % size - size // 2 + offset[b, 2 * k + 1, i, j].item()
                    for c in range(channels):
                        out[b, :, i, j] += weight[:, c, k // size, k % size] * sample(x[b, c], y, z)
    return out


@pytest.mark.parametrize('size', [1, 3])
def test_result_is_what_the_formula_says_also_outside_the_map(size):
    x = torch.randn(2, 2, 4, 5).double()
    offset = 2 * torch.randn(2, 2 * size * size, 4, 5).double()
    weight = torch.randn(3, 2, size, size).double()
    torch.testing.assert_close(deform_conv2d(x, offset, weight), by_loops(x, offset, weight))


def test_without_offsets_it_is_a_convolution():
    x, weight = torch.randn(2, 4, 6, 7).double(), torch.randn(5, 4, 3, 3).double()
    offset = torch.zeros(2, 18, 6, 7).double()
    torch.testing.assert_close(deform_conv2d(x, offset, weight), F.conv2d(x, weight, padding=1))


def test_whole_offsets_shift_the_map():
    x, weight = torch.randn(1, 4, 6, 7).double(), torch.randn(5, 4, 3, 3).double()
    offset = torch.tensor([1.0, -2.0]).repeat(9).view(1, 18, 1, 1).expand(1, 18, 6, 7).double()
    shifted = F.pad(x, (2, 0, 0, 1))[:, :, 1:, :7]
    inside = (slice(None), slice(None), slice(1, 4), slice(3, 6))
    torch.testing.assert_close(deform_conv2d(x, offset, weight)[inside], F.conv2d(shifted, weight, padding=1)[inside])


def test_gradients_equal_finite_differences():
    inputs = [torch.randn(1, 2, 3, 4), 0.3 + 0.2 * torch.rand(1, 18, 3, 4), torch.randn(2, 2, 3, 3)]
    assert torch.autograd.gradcheck(deform_conv2d, [x.double().requires_grad_() for x in inputs])


def test_positions_keep_their_fractions_under_autocast():
    x = torch.arange(300.0).view(1, 1, 1, 300)
    offset = torch.tensor([0.0, 0.5]).view(1, 2, 1, 1).expand(1, 2, 1, 300)
    weight = torch.ones(1, 1, 1, 1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = deform_conv2d(x / 300, offset, weight)
    torch.testing.assert_close(out.float()[..., :299], (x[..., :299] + 0.5) / 300, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize('zero_offsets', [True, False])
def test_module_starts_as_an_ordinary_convolution_if_told(zero_offsets):
    module = DeformConv2d(4, zero_offsets=zero_offsets)
    x = torch.randn(1, 4, 5, 6)
    ordinary = F.conv2d(x, module.conv.weight, padding=1)
    assert torch.allclose(module(x), ordinary, atol=1e-5) is zero_offsets


def test_offsets_of_zero_still_learn():
    module = DeformConv2d(4)
    module(torch.randn(2, 4, 5, 6)).square().mean().backward()
    assert module.conv_offset.weight.grad.any()
    assert module.conv.weight.grad.any()


def test_graph_is_captured_whole():
    module, x = DeformConv2d(4, zero_offsets=False), torch.randn(1, 4, 5, 6)
    compiled = torch.compile(module, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(x), module(x))


@pytest.mark.parametrize(
    ('x', 'offset', 'weight'),
    [
        ((1, 2, 3, 4), (1, 9, 3, 4), (2, 2, 3, 3)),
        ((1, 2, 3, 4), (1, 18, 4, 3), (2, 2, 3, 3)),
        ((1, 2, 3, 4), (2, 18, 3, 4), (2, 2, 3, 3)),
        ((1, 2, 3, 4), (1, 18, 3, 4), (2, 5, 3, 3)),
        ((1, 2, 3, 4), (1, 18, 3, 4), (2, 2, 1, 3)),
        ((1, 2, 3, 4), (1, 8, 3, 4), (2, 2, 2, 2)),
        ((2, 3, 4), (18, 3, 4), (2, 2, 3, 3)),
        ((1, 2, 3, 4), (1, 18, 3, 4), (2, 2, 9)),
    ],
    ids=['offsets', 'size', 'batch', 'channels', 'oblong kernel', 'even kernel', 'no batch', 'flat kernel'],
)
def test_shapes_that_do_not_fit_are_named(x, offset, weight):
    message = f'deform_conv2d: x {x}, offset {offset} and weight {weight} do not fit; expected (B, C, H, W)'
    with pytest.raises(ShapeError, match=re.escape(message)):
        deform_conv2d(torch.zeros(x), torch.zeros(offset), torch.zeros(weight))


@pytest.mark.parametrize('shape', [(1, 3, 4, 5), (4, 4, 5)])
def test_a_map_of_another_width_is_named(shape):
    with pytest.raises(ShapeError, match=re.escape(f'DeformConv2d: expected a map (B, 4, H, W), got {shape}')):
        DeformConv2d(4)(torch.zeros(shape))

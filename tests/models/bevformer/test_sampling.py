"""Tests of mono_distill.models.bevformer.sampling."""

import math

import torch
from torch import nn

from mono_distill.models.bevformer.sampling import cell_scale, init_offsets, init_projections, sample_maps
from mono_distill.ops.deformable_attention import deformable_attention


def test_on_the_cpu_the_samples_are_those_of_the_op():
    value, locations = torch.randn(2, 7, 3, 4), torch.rand(2, 5, 3, 2, 2, 2)
    weights, shapes = torch.rand(2, 5, 3, 2, 2), ((2, 3), (1, 1))
    expected = deformable_attention(value, shapes, locations, weights)
    assert torch.equal(sample_maps(value, shapes, locations, weights), expected)


def test_the_scale_is_one_cell():
    expected = torch.tensor([[[1 / 8, 1 / 4]], [[1 / 2, 1.0]]])
    torch.testing.assert_close(cell_scale(((4, 8), (1, 2)), like=torch.zeros(1)), expected)


def test_first_samples_lie_on_rays_around_the_reference():
    layer = nn.Linear(6, 2 * 4 * 2 * 3)
    init_offsets(layer, heads=4, maps=2, points=3)
    offsets = layer(torch.randn(6)).view(4, 2, 3, 2)
    for head in range(4):
        angle = head * math.pi / 2
        for point in range(3):
            expected = torch.tensor([math.cos(angle), math.sin(angle)]) * (point + 1)
            for level in range(2):
                torch.testing.assert_close(offsets[head, level, point], expected)


def test_projections_start_without_bias():
    layer = nn.Linear(6, 6)
    init_projections(layer)
    assert layer.bias.abs().sum() == 0
    assert layer.weight.abs().max() <= math.sqrt(6 / 12)

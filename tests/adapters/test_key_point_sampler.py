"""Tests of mono_distill.adapters.key_point_sampler."""

import pytest
import torch

from mono_distill.adapters.key_point_sampler import BEVKeyPointSampler
from mono_distill.distillers.graph import DistillGraph
from mono_distill.losses.key_point import KeyPointFeatureLoss
from mono_distill.utils.errors import ConfigError

RANGES = dict(x_range=(-8.0, 8.0), y_range=(-4.0, 4.0))


def coordinates(height, width):
    """A map whose two channels are the x and y of the cell's centre."""
    x = -8 + (torch.arange(width) + 0.5) * 16 / width
    y = -4 + (torch.arange(height) + 0.5) * 8 / height
    return torch.stack([x.expand(height, width), y.unsqueeze(1).expand(height, width)]).unsqueeze(0)


@pytest.mark.parametrize('size', [(8, 16), (16, 32), (4, 20)])
def test_a_map_of_coordinates_gives_the_points_whatever_its_cells(size):
    box = torch.tensor([[[3.0, -1.0, 0.0, 4.0, 2.0, 1.5, 0.0]]])
    sampled = BEVKeyPointSampler(**RANGES)(coordinates(*size), box)[0, 0]
    corners = torch.tensor([[5.0, 0.0], [1.0, 0.0], [1.0, -2.0], [5.0, -2.0]])
    torch.testing.assert_close(sampled[:4], corners)
    torch.testing.assert_close(sampled[8], torch.tensor([3.0, -1.0]))


def test_a_distiller_compares_maps_of_different_cells_at_the_boxes():
    sampler = dict(type='mono_distill.BEVKeyPointSampler', **RANGES)
    graph = DistillGraph(
        ['s', 't', 'boxes', 'valid'],
        adapters=dict(
            s_points=dict(**sampler, inputs=dict(features='s', boxes='boxes')),
            t_points=dict(**sampler, inputs=dict(features='t', boxes='boxes')),
        ),
        losses=dict(
            key_points=dict(
                type='mono_distill.KeyPointFeatureLoss',
                inputs=dict(student='s_points', teacher='t_points', valid='valid'),
            )
        ),
    )
    assert isinstance(graph.losses['key_points'], KeyPointFeatureLoss)
    student = (coordinates(8, 16) + 2).requires_grad_()
    boxes = torch.tensor([[[3.0, -1.0, 0.0, 4.0, 2.0, 1.5, 0.0], [float('nan')] * 7]])
    valid = torch.tensor([[True, False]])
    losses = graph(dict(s=student, t=coordinates(16, 32), boxes=boxes, valid=valid, data_samples=[]))
    losses['loss_kd_key_points'].backward()
    assert losses['kd_key_points'].item() == pytest.approx(2)
    assert student.grad.any()


def test_an_empty_range_is_refused():
    with pytest.raises(ConfigError, match='x_range must be'):
        BEVKeyPointSampler((8.0, -8.0), (-4.0, 4.0))

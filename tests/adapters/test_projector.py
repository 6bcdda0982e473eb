"""Tests of mono_distill.adapters.projector."""

import pytest
import torch

from mono_distill.adapters.projector import Projector
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError


def test_default_has_the_layers_of_the_official_projector():
    shapes = [tuple(p.shape) for p in Projector(256).parameters() if p.dim() == 2]
    assert shapes == [(512, 256), (512, 512), (512, 512)]


@pytest.mark.parametrize('norm', ['batch', 'layer'])
def test_every_point_is_projected(norm):
    assert Projector(8, 16, norm=norm)(torch.randn(2, 5, 8)).shape == (2, 5, 16)


def test_batch_norm_mixes_the_points_and_layer_norm_does_not():
    points, other = torch.randn(2, 1, 4, 8)
    changed = torch.cat([points[:, :2], other[:, 2:]], 1)
    for norm, same in (('batch', False), ('layer', True)):
        project = Projector(8, 16, norm=norm)
        assert torch.allclose(project(points)[:, :2], project(changed)[:, :2]) is same


def test_batch_norm_runs_over_images_and_points_alike():
    project = Projector(8, 16)
    points = torch.randn(2, 3, 8)
    torch.testing.assert_close(project(points).flatten(0, 1), project(points.reshape(1, 6, 8))[0])


def test_a_detached_input_ends_the_gradient_but_trains_the_projector():
    project, points = Projector(8, 16, detach_input=True), torch.randn(2, 3, 8, requires_grad=True)
    project(points).square().sum().backward()
    assert points.grad is None
    assert project.layers[0].weight.grad.any()


def test_gradient_reaches_the_input_otherwise():
    points = torch.randn(2, 3, 8, requires_grad=True)
    Projector(8, 16)(points).square().sum().backward()
    assert points.grad.any()


def test_registry_builds_it():
    assert isinstance(MODELS.build(dict(type='mono_distill.Projector', in_channels=4)), Projector)


def test_graph_is_captured_whole():
    project, points = Projector(8, 16, norm='layer'), torch.randn(2, 3, 8)
    compiled = torch.compile(project, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(points), project(points))


def test_inputs_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r'expected features of points \(B, N, 8\), got \(2, 3, 4\)'):
        Projector(8)(torch.randn(2, 3, 4))


def test_unknown_norm_is_refused():
    with pytest.raises(ConfigError, match="norm must be 'batch' or 'layer', got 'group'"):
        Projector(8, norm='group')

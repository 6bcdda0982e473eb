"""Tests of mono_distill.adapters.projector."""

import pytest
import torch

from mono_distill.adapters.projector import Projector
from mono_distill.distillers.graph import DistillGraph
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


def padded():
    points = torch.randn(2, 5, 8)
    valid = torch.tensor([[True, True, False, True, False], [False, True, False, False, True]])
    return torch.where(valid.unsqueeze(2), points, float('nan')), valid


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('norm', ['batch', 'layer'])
def test_padding_changes_no_result_no_gradient_and_no_running_statistic(norm, training):
    points, valid = padded()
    masked, alone = Projector(8, 16, norm=norm).train(training), Projector(8, 16, norm=norm).train(training)
    alone.load_state_dict(masked.state_dict())
    inputs, chosen = points.clone().requires_grad_(), points[valid].unsqueeze(0).requires_grad_()
    result, expected = masked(inputs, valid), alone(chosen)
    torch.testing.assert_close(result[valid], expected[0], rtol=1e-4, atol=1e-5)
    assert not result[~valid].any()
    result.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(inputs.grad[valid], chosen.grad[0], rtol=1e-4, atol=1e-5)
    assert not inputs.grad[~valid].any()
    for ours, theirs in zip(masked.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(masked.state_dict(), alone.state_dict(), rtol=1e-5, atol=1e-6)


def test_all_valid_is_what_no_mask_says():
    project, points = Projector(8, 16), torch.randn(2, 5, 8)
    torch.testing.assert_close(project(points, torch.ones(2, 5, dtype=torch.bool)), project(points))


@pytest.mark.parametrize('norm', ['batch', 'layer'])
def test_without_a_point_nothing_moves(norm):
    project = Projector(8, 16, norm=norm)
    before = {name: value.clone() for name, value in project.named_buffers() if 'running' in name}
    project(torch.full((2, 3, 8), float('nan')), torch.zeros(2, 3, dtype=torch.bool)).sum().backward()
    assert all(torch.equal(dict(project.named_buffers())[name], value) for name, value in before.items())
    assert all(p.grad is not None and not p.grad.any() for p in project.parameters())


def test_a_distiller_masks_the_padding_of_projected_points():
    projector = dict(type='mono_distill.Projector', in_channels=8, out_channels=16)
    graph = DistillGraph(
        ['s', 't', 'valid'],
        adapters=dict(
            s_projected=dict(**projector, inputs=dict(x='s', valid='valid')),
            t_projected=dict(**projector, detach_input=True, inputs=dict(x='t', valid='valid')),
        ),
        losses=dict(
            contrast=dict(
                type='mono_distill.InfoNCELoss',
                train_teacher_projector=True,
                inputs=dict(student='s_projected', teacher='t_projected', valid='valid'),
            )
        ),
    )
    (student, valid), teacher = padded(), padded()[0]
    graph(dict(s=student.requires_grad_(), t=teacher, valid=valid, data_samples=[]))['loss_kd_contrast'].backward()
    assert student.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in graph.parameters())
    assert graph.adapters['t_projected'].layers[0].weight.grad.any()


def test_registry_builds_it():
    assert isinstance(MODELS.build(dict(type='mono_distill.Projector', in_channels=4)), Projector)


def test_graph_is_captured_whole():
    project, points = Projector(8, 16, norm='layer'), torch.randn(2, 3, 8)
    compiled = torch.compile(project, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(points), project(points))


def test_inputs_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r'expected features of points \(B, N, 8\), got \(2, 3, 4\)'):
        Projector(8)(torch.randn(2, 3, 4))


@pytest.mark.parametrize('valid', [torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 3)])
def test_a_mask_that_does_not_fit_is_named(valid):
    with pytest.raises(ShapeError, match=r'Projector: valid is .* expected bool \(2, 3\)'):
        Projector(8)(torch.randn(2, 3, 8), valid)


def test_unknown_norm_is_refused():
    with pytest.raises(ConfigError, match="norm must be 'batch' or 'layer', got 'group'"):
        Projector(8, norm='group')

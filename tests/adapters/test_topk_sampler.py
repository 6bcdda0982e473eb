"""Tests of mono_distill.adapters.topk_sampler."""

import pytest
import torch

from mono_distill.adapters.topk_sampler import BEVTopKSampler
from mono_distill.distillers.graph import DistillGraph
from mono_distill.ops.point_sampler import sample_bev
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

RANGES = dict(x_range=(-8.0, 8.0), y_range=(-4.0, 4.0))


def coordinates(height, width, x_range=(-8.0, 8.0), y_range=(-4.0, 4.0)):
    """A map whose two channels are the x and y of the cell's centre."""
    x = x_range[0] + (torch.arange(width) + 0.5) * (x_range[1] - x_range[0]) / width
    y = y_range[0] + (torch.arange(height) + 0.5) * (y_range[1] - y_range[0]) / height
    return torch.stack([x.expand(height, width), y.unsqueeze(1).expand(height, width)]).unsqueeze(0)


def test_points_are_the_highest_cells_of_any_class_in_order():
    heatmap, features = torch.randn(2, 3, 4, 5), torch.randn(2, 6, 4, 5)
    sampled = BEVTopKSampler(k=7)(features, heatmap)
    for image in range(2):
        best = {(y, x): heatmap[image, :, y, x].max().item() for y in range(4) for x in range(5)}
        cells = sorted(best, key=best.get, reverse=True)[:7]
        expected = torch.stack([features[image, :, y, x] for y, x in cells])
        torch.testing.assert_close(sampled[image], expected)


@pytest.mark.parametrize('size', [(8, 16), (16, 32), (4, 8)])
def test_maps_of_other_cells_are_read_at_the_same_metric_place(size):
    heatmap = torch.zeros(1, 2, 4, 8)
    heatmap[0, 1, 1, 6] = 1.0
    heatmap[0, 0, 2, 3] = 2.0
    # Cells of 2 m: row 2 and column 3 are centred at y = 1 and x = -1.
    sampled = BEVTopKSampler(k=2, **RANGES)(coordinates(*size), heatmap)
    torch.testing.assert_close(sampled, torch.tensor([[[-1.0, 1.0], [5.0, -1.0]]]))


def test_a_heatmap_of_a_larger_area_is_placed_by_its_own_ranges():
    sampler = BEVTopKSampler(k=2, **RANGES, heatmap_x_range=(-16.0, 16.0), heatmap_y_range=(-4.0, 4.0))
    heatmap = torch.zeros(1, 1, 4, 16)
    heatmap[0, 0, 1, 9] = 2.0
    heatmap[0, 0, 1, 15] = 1.0
    # x = 3 lies on the features' map, x = 15 does not.
    torch.testing.assert_close(sampler(coordinates(8, 16), heatmap), torch.tensor([[[3.0, -1.0], [0.0, 0.0]]]))


def test_tasks_of_a_center_head_count_together():
    heatmap, features = torch.randn(2, 3, 4, 5), torch.randn(2, 6, 4, 5)
    sampler = BEVTopKSampler(k=7)
    as_it_comes = tuple([dict(heatmap=task, reg=torch.zeros(2, 2, 4, 5))] for task in heatmap.split([1, 2], 1))
    expected = sampler(features, heatmap)
    assert torch.equal(sampler(features, heatmap.split([1, 2], 1)), expected)
    assert torch.equal(sampler(features, as_it_comes), expected)


def test_gradient_reaches_the_cells_that_were_read_and_not_the_heatmap():
    features = torch.randn(1, 2, 3, 4, requires_grad=True)
    heatmap = torch.randn(1, 1, 3, 4, requires_grad=True)
    BEVTopKSampler(k=5)(features, heatmap).sum().backward()
    assert heatmap.grad is None
    # Exactly at the centres of cells the weights are 1, up to rounding.
    torch.testing.assert_close(features.grad.sum(), torch.tensor(10.0))
    assert (features.grad > 0.5).sum() == 10


def test_a_small_map_gives_all_its_cells():
    features = torch.randn(1, 2, 3, 4)
    sampled = BEVTopKSampler(k=900)(features, torch.randn(1, 1, 3, 4))
    torch.testing.assert_close(sampled.sum(1), features.sum((2, 3)))


def test_nan_of_the_heatmap_is_not_a_peak():
    features, heatmap = torch.randn(1, 2, 3, 4), torch.randn(1, 1, 3, 4)
    heatmap[0, 0, 1, 1] = float('nan')
    lowest = BEVTopKSampler(k=12)(features, heatmap)[0, -1]
    torch.testing.assert_close(lowest, features[0, :, 1, 1])


def test_half_precision_addresses_a_large_map():
    features, heatmap = coordinates(300, 300, **RANGES).bfloat16(), torch.zeros(1, 1, 300, 300, dtype=torch.bfloat16)
    heatmap[0, 0, 299, 257] = 1.0
    sampled = BEVTopKSampler(k=1, **RANGES)(features, heatmap)[0, 0]
    torch.testing.assert_close(sampled, features[0, :, 299, 257].float(), rtol=1e-3, atol=0)


def test_graph_is_captured_whole():
    sampler, inputs = BEVTopKSampler(k=5), (torch.randn(2, 3, 4, 5), torch.randn(2, 1, 4, 5))
    compiled = torch.compile(sampler, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(*inputs), sampler(*inputs))


def test_a_distiller_correlates_student_and_teacher_at_the_teachers_peaks():
    sampler = dict(type='mono_distill.BEVTopKSampler', k=20)
    graph = DistillGraph(
        ['s', 't', 'heat'],
        adapters=dict(
            s_points=dict(**sampler, inputs=dict(features='s', heatmap='heat')),
            t_points=dict(**sampler, inputs=dict(features='t', heatmap='heat')),
        ),
        losses=dict(
            cd=dict(type='mono_distill.CrossCorrelationLoss', inputs=dict(student='s_points', teacher='t_points'))
        ),
    )
    teacher, heat = torch.randn(2, 3, 8, 8), torch.randn(2, 4, 8, 8)
    other = torch.randn_like(teacher)
    # Alike where the heatmap is high, unrelated elsewhere.
    best = heat.amax(1).flatten(1)
    high = (best >= best.topk(20, dim=1).values[:, -1:]).view(2, 1, 8, 8)
    student = torch.where(high, teacher, other).requires_grad_()
    alike = graph(dict(s=student, t=teacher, heat=heat, data_samples=[]))['loss_kd_cd']
    unrelated = graph(dict(s=other, t=teacher, heat=heat, data_samples=[]))['loss_kd_cd']
    alike.backward()
    assert alike < 0.1 < unrelated
    assert student.grad.any()


def test_registry_builds_it_and_repr_names_the_options():
    sampler = MODELS.build(dict(type='mono_distill.BEVTopKSampler', k=3, x_range=[0, 4], y_range=[-1, 1]))
    assert 'k=3, x_range=(0, 4), y_range=(-1, 1), heatmap_x_range=(0, 4)' in repr(sampler)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(k=0), 'k must be a positive number of points, got 0'),
        (dict(x_range=(1.0, 0.0)), 'BEVTopKSampler: x_range must be'),
        (dict(heatmap_y_range=(1.0, 1.0)), 'BEVTopKSampler: heatmap_y_range must be'),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        BEVTopKSampler(**options)


@pytest.mark.parametrize(
    'heatmap', [torch.zeros(2, 4, 5), torch.zeros(1, 1, 4, 5), [], [torch.zeros(2, 1, 4, 5), torch.zeros(2, 1, 5, 4)]]
)
def test_heatmaps_that_do_not_fit_are_named(heatmap):
    with pytest.raises(ShapeError, match=r'BEVTopKSampler: heatmap has shapes .* expected maps \(2, K, h, w\)'):
        BEVTopKSampler()(torch.zeros(2, 3, 4, 5), heatmap)


def test_past_maps_are_sampled_frame_by_frame_by_their_own_heatmaps():
    features, heatmap = torch.randn(2, 3, 6, 4, 5), torch.randn(2, 3, 4, 4, 5)
    sampler = BEVTopKSampler(k=7)
    sampled = sampler(features, heatmap.split([1, 3], 2))
    assert sampled.shape == (2, 3, 7, 6)
    for frame in range(3):
        torch.testing.assert_close(sampled[:, frame], sampler(features[:, frame], heatmap[:, frame]))


@pytest.mark.parametrize('shape', [(2, 4, 4, 5), (2, 2, 4, 4, 5), (1, 3, 4, 4, 5)])
def test_past_maps_need_heatmaps_of_the_same_frames(shape):
    with pytest.raises(ShapeError, match=r'expected maps \(2, 3, K, h, w\)'):
        BEVTopKSampler()(torch.zeros(2, 3, 6, 4, 5), torch.zeros(shape))


def test_a_projection_is_a_one_by_one_convolution_of_the_map():
    features, heatmap = torch.randn(2, 3, 6, 4, 5), torch.randn(2, 3, 4, 4, 5)
    sampler = BEVTopKSampler(k=7, project=(6, 2))
    weight, bias = sampler.linear.weight, sampler.linear.bias
    convolved = torch.nn.functional.conv2d(features.flatten(0, 1), weight[..., None, None], bias).unflatten(0, (2, 3))
    torch.testing.assert_close(sampler(features, heatmap), BEVTopKSampler(k=7)(convolved, heatmap))


@pytest.mark.parametrize('frames', [(), (3,)])
def test_cells_of_the_map_are_read_as_its_centres_are_sampled(frames):
    features = torch.randn(2, *frames, 6, 4, 5, dtype=torch.float64, requires_grad=True)
    heatmap, cotangent = torch.randn(2, *frames, 3, 4, 5), torch.randn(2, *frames, 7, 6, dtype=torch.float64)
    sampler = BEVTopKSampler(k=7, **RANGES)
    places = coordinates(4, 5).double().expand(2, *frames, 2, 4, 5).flatten(0, -4)
    points = sampler(places.unflatten(0, (2, *frames)), heatmap).flatten(0, -3)
    expected = sample_bev(features.flatten(0, -4), points, **RANGES).unflatten(0, (2, *frames))
    sampled = sampler(features, heatmap)
    # The centres are rounded to float32.
    torch.testing.assert_close(sampled, expected, rtol=0, atol=1e-5)
    gradients = [torch.autograd.grad(x, features, cotangent, retain_graph=True)[0] for x in (sampled, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)


def test_a_cell_that_is_read_does_not_see_its_neighbours():
    features = torch.full((1, 1, 3, 3), float('nan'))
    features[0, 0, 1, 2] = 4.0
    heatmap = torch.zeros(1, 1, 3, 3)
    heatmap[0, 0, 1, 2] = 1.0
    assert BEVTopKSampler(k=1)(features, heatmap).tolist() == [[[4.0]]]


def test_a_projection_learns():
    sampler = BEVTopKSampler(k=3, project=(6, 2))
    sampler(torch.randn(2, 6, 4, 5), torch.randn(2, 4, 4, 5)).square().sum().backward()
    assert all(parameter.grad.any() for parameter in sampler.parameters())


def test_a_map_of_other_channels_than_the_linear_layer_is_named():
    sample = BEVTopKSampler(k=2, project=(4, 6))
    with pytest.raises(ShapeError, match='the map has 3 channels, but project begins with 4'):
        sample(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4))

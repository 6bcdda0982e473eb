"""Tests of mono_distill.targets.bev_regions."""

import math

import pytest
import torch

from mono_distill.registry import MODELS
from mono_distill.targets.bev_regions import BEVRegions, bev_regions
from mono_distill.utils.errors import ConfigError, ShapeError

# Cells of 1 m by 0.5 m: 6 columns, 8 rows.
GRID = dict(size=(8, 6), x_range=(-3.0, 3.0), y_range=(0.0, 4.0))


def boxes_of(*rows):
    return torch.tensor([rows], dtype=torch.float64)


def box(x, y, length, width, yaw=0.0):
    return [x, y, 0.0, length, width, 1.5, yaw]


def logit(probability):
    return math.log(probability / (1 - probability))


def heat(*cells, value):
    """Heatmaps of two classes, of one frame, with ``value`` at the given cells (class, row, column)."""
    maps = torch.zeros(1, 2, *GRID['size'])
    for cell in cells:
        maps[0][cell] = value
    return maps


def literal(boxes, valid, shift=0.5):
    """Foreground weights of one frame, cell by cell."""
    weights = torch.zeros(GRID['size'], dtype=torch.float64)
    for row in range(8):
        for column in range(6):
            px, py = -3.0 + (column + shift) * 1.0, (row + shift) * 0.5
            for (x, y, _, length, width, _, yaw), real in zip(boxes.tolist(), valid.tolist(), strict=True):
                dx, dy = px - x, py - y
                ahead, left = dx * math.cos(yaw) + dy * math.sin(yaw), dy * math.cos(yaw) - dx * math.sin(yaw)
                if real and abs(ahead) <= length / 2 and abs(left) <= width / 2:
                    scale = math.sqrt(0.5 / (length * width))
                    weights[row, column] = max(weights[row, column].item(), scale)
    return weights


def random_boxes():
    places = torch.rand(2, 5, 7, dtype=torch.float64)
    low = torch.tensor([-3.0, 0.0, 0.0, 0.5, 0.5, 1.0, -3.1])
    high = torch.tensor([3.0, 4.0, 0.0, 4.0, 2.0, 1.0, 3.1])
    return low + places * (high - low), torch.tensor(
        [[True, True, False, True, True], [False, True, True, False, True]]
    )


@pytest.mark.parametrize(('cell_point', 'shift'), [('center', 0.5), ('corner', 0.0)])
def test_foreground_equals_the_formula_written_out(cell_point, shift):
    boxes, valid = random_boxes()
    foreground = bev_regions(boxes, valid, **GRID, cell_point=cell_point)['foreground']
    expected = torch.stack([literal(*frame, shift) for frame in zip(boxes, valid, strict=True)])
    torch.testing.assert_close(foreground, expected)


def test_all_boxes_count_alike_up_to_the_root_of_their_area():
    small, large = (bev_regions(boxes_of(box(0, 2, *sides)), **GRID)['foreground'] for sides in ((2, 1), (4, 2)))
    assert (small > 0).sum() == 4
    assert (large > 0).sum() == 16
    assert small.sum().item() == pytest.approx(4 * 0.5)
    assert large.sum().item() == pytest.approx(16 * 0.25)


def test_the_released_corner_moves_a_box_by_half_a_cell():
    # Its left edge runs through the centres of column 2: they are inside, the corners of column 2 are not.
    boxes = boxes_of(box(0.5, 2, 2.0, 2.0))
    columns = {
        point: (bev_regions(boxes, **GRID, cell_point=point)['foreground'][0] > 0).any(0).nonzero().flatten().tolist()
        for point in ('center', 'corner')
    }
    assert columns == dict(center=[2, 3, 4], corner=[3, 4])


def test_regions_are_disjoint_and_cover_the_map():
    boxes, valid = random_boxes()
    teacher, truth = torch.randn(2, 2, 8, 6), torch.rand(2, 2, 8, 6) / 5
    regions = bev_regions(boxes, valid, teacher, truth, **GRID)
    assert (torch.stack([region > 0 for region in regions.values()]).sum(0) == 1).all()


def test_background_and_false_positives_each_sum_to_one_in_every_frame():
    boxes, valid = random_boxes()
    regions = bev_regions(boxes, valid, torch.randn(2, 2, 8, 6), **GRID, threshold=0.7)
    for name in ('background', 'false_positive'):
        torch.testing.assert_close(regions[name].sum((1, 2)), torch.ones(2, dtype=torch.float64))
        assert all(len(frame[frame > 0].unique()) == 1 for frame in regions[name])


def test_false_positives_are_where_the_teacher_sees_what_neither_truth_nor_box_holds():
    boxes = boxes_of(box(-2.0, 0.5, 2.0, 1.0))
    in_box, in_truth, free = (0, 0, 0), (1, 4, 4), (1, 7, 2)
    teacher = torch.full((1, 2, 8, 6), logit(0.05))
    for cell in (in_box, in_truth, free):
        teacher[0][cell] = logit(0.3)
    regions = bev_regions(boxes, None, teacher, heat(in_truth, value=0.2), **GRID)
    assert regions['false_positive'].nonzero().tolist() == [[0, 7, 2]]
    assert regions['false_positive'][0, 7, 2] == 1
    assert regions['background'][0, 7, 2] == 0
    assert regions['background'][0, 4, 4] > 0


@pytest.mark.parametrize(('threshold', 'found'), [(0.1, 1), (0.5, 0)])
def test_the_threshold_is_a_probability(threshold, found):
    teacher = torch.full((1, 1, 8, 6), -20.0)
    teacher[0, 0, 3, 3] = logit(0.3)
    regions = bev_regions(boxes_of(box(-2, 0.5, 2, 1)), None, teacher, **GRID, threshold=threshold)
    assert (regions['false_positive'] > 0).sum() == found


def test_heatmaps_may_come_one_per_task():
    boxes, valid = random_boxes()
    teacher, truth = torch.randn(2, 3, 8, 6), torch.rand(2, 3, 8, 6) / 5
    together = bev_regions(boxes, valid, teacher, truth, **GRID)
    by_task = bev_regions(boxes, valid, teacher.split([1, 2], 1), truth.split([2, 1], 1), **GRID)
    torch.testing.assert_close(by_task, together, rtol=0, atol=0)


@pytest.mark.parametrize('slots', [0, 3])
def test_without_objects_everything_is_background(slots):
    boxes = torch.zeros(2, slots, 7)
    regions = bev_regions(boxes, torch.zeros(2, slots, dtype=torch.bool), **GRID)
    assert not regions['foreground'].any()
    assert not regions['false_positive'].any()
    torch.testing.assert_close(regions['background'], torch.full((2, 8, 6), 1 / 48))


def test_a_frame_that_is_one_object_has_no_background():
    regions = bev_regions(boxes_of(box(0, 2, 20, 20)), **GRID)
    assert (regions['foreground'] > 0).all()
    assert not regions['background'].any()


def test_empty_slots_may_hold_anything():
    boxes, valid = random_boxes()
    expected = bev_regions(boxes, valid, **GRID)
    boxes[~valid] = float('nan')
    torch.testing.assert_close(bev_regions(boxes, valid, **GRID), expected, rtol=0, atol=0)


def test_graph_is_captured_whole():
    boxes, valid = random_boxes()
    module = BEVRegions(**GRID)
    heatmaps = torch.randn(2, 2, 8, 6), torch.rand(2, 2, 8, 6) / 5
    compiled = torch.compile(module, fullgraph=True, backend='eager')
    torch.testing.assert_close(compiled(boxes, valid, *heatmaps), module(boxes, valid, *heatmaps))


def test_registry_builds_it_and_it_equals_the_function():
    boxes, valid = random_boxes()
    module = MODELS.build(dict(type='mono_distill.BEVRegions', **GRID, cell_point='corner'))
    expected = bev_regions(boxes, valid, **GRID, cell_point='corner')
    torch.testing.assert_close(module(boxes, valid), expected, rtol=0, atol=0)


def test_heatmaps_of_another_size_are_named():
    boxes, valid = random_boxes()
    with pytest.raises(ShapeError, match=r'teacher_heatmap has shape \(2, 2, 6, 8\), expected \(2, 2, 8, 6\)'):
        bev_regions(boxes, valid, torch.zeros(2, 2, 6, 8), **GRID)


@pytest.mark.parametrize('name', ['teacher_heatmap', 'truth_heatmap'])
def test_an_empty_list_of_heatmaps_is_named(name):
    boxes, valid = random_boxes()
    heatmaps = {'teacher_heatmap': [torch.zeros(2, 2, 8, 6)], name: []}
    with pytest.raises(ShapeError, match=f'{name} is an empty list; give one map'):
        bev_regions(boxes, valid, **heatmaps, **GRID)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(threshold=1.5), 'threshold must be a probability between 0 and 1, got 1.5'),
        (dict(cell_point='edge'), "cell_point must be 'center' or 'corner', got 'edge'"),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        BEVRegions(**GRID, **options)


def test_heads_may_come_as_a_center_head_returns_them():
    boxes = boxes_of(box(0, 2, 2, 1))
    seen, truth = heat((0, 1, 1), (1, 7, 5), (1, 4, 3), value=logit(0.8)), heat((1, 7, 5), value=1.0)
    seen = torch.where(seen == 0, -9.0, seen)
    # One task a class; other maps of the head are not looked at.
    heads = tuple([dict(heatmap=task, reg=torch.zeros(1, 2, 8, 6))] for task in seen.split(1, 1))
    truths = list(truth.split(1, 1))
    expected = bev_regions(boxes, None, seen, truth, **GRID)
    found = BEVRegions(**GRID)(boxes, None, heads, truths)
    assert expected['false_positive'].any()
    for name, weights in expected.items():
        assert torch.equal(found[name], weights), name

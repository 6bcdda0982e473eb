import math
import sys

import pytest
import torch

from mono_distill.ops.bev_box_masks import bev_box_indices, bev_box_masks, bev_box_scales
from mono_distill.utils.errors import ConfigError, ShapeError

SIZE = (24, 32)
GRID = dict(x_range=(-16.0, 16.0), y_range=(-6.0, 12.0))
FUNCTIONS = [bev_box_masks, bev_box_indices, bev_box_scales]


def random_boxes(batch=3, count=12, seed=0):
    """Boxes around and partly beyond the map, of every heading."""
    low = torch.tensor([-20.0, -10.0, -1.0, 0.3, 0.3, 1.0, -7.0], dtype=torch.float64)
    high = torch.tensor([20.0, 16.0, 1.0, 9.0, 4.0, 2.0, 7.0], dtype=torch.float64)
    return low + (high - low) * torch.rand(
        batch, count, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def box(x=0.0, y=0.0, dx=4.0, dy=2.0, yaw=0.0):
    return torch.tensor([[[x, y, 0.0, dx, dy, 1.5, yaw]]], dtype=torch.float64)


def inside(boxes):
    """Whether each cell centre lies in each box, tested in the frame of the box: ``(B, N, H, W)``."""
    height, width = SIZE
    result = torch.zeros(*boxes.shape[:2], height, width, dtype=torch.bool)
    for b, sample in enumerate(boxes.tolist()):
        for n, (x, y, _, dx, dy, _, yaw) in enumerate(sample):
            for i in range(height):
                for j in range(width):
                    ahead, aside = -16 + (j + 0.5) * 1.0 - x, -6 + (i + 0.5) * 0.75 - y
                    along = math.cos(yaw) * ahead + math.sin(yaw) * aside
                    across = -math.sin(yaw) * ahead + math.cos(yaw) * aside
                    result[b, n, i, j] = abs(along) <= dx / 2 and abs(across) <= dy / 2
    return result


@pytest.fixture(scope='module')
def scene():
    boxes = random_boxes()
    return boxes, inside(boxes)


def test_mask_equals_a_test_of_every_centre(scene):
    boxes, covered = scene
    assert 0.05 < covered.any(1).double().mean() < 0.95
    assert torch.equal(bev_box_masks(boxes, SIZE, **GRID), covered.any(1))


def test_index_is_that_of_the_smallest_box(scene):
    boxes, covered = scene
    areas = (boxes[..., 3] * boxes[..., 4]).view(*boxes.shape[:2], 1, 1).expand_as(covered)
    expected = torch.where(covered, areas, torch.inf).argmin(1)
    expected = torch.where(covered.any(1), expected, -1)
    assert (covered.sum(1) > 1).any()
    assert torch.equal(bev_box_indices(boxes, SIZE, **GRID), expected)


def test_index_does_not_depend_on_the_chunks(scene, monkeypatch):
    expected = bev_box_indices(scene[0], SIZE, **GRID)
    monkeypatch.setattr(sys.modules[bev_box_masks.__module__], 'CHUNK', 5 * 3 * SIZE[0] * 10)
    assert torch.equal(bev_box_indices(scene[0], SIZE, **GRID), expected)


def test_scale_is_the_largest_of_the_boxes(scene):
    boxes, covered = scene
    scales = (0.75 / (boxes[..., 3] * boxes[..., 4])).sqrt().view(*boxes.shape[:2], 1, 1)
    torch.testing.assert_close(bev_box_scales(boxes, SIZE, **GRID), (scales * covered).amax(1))


def test_scale_makes_the_sum_of_squares_over_a_box_one():
    scales = bev_box_scales(box(dx=8.0, dy=6.0), SIZE, **GRID)
    assert (scales**2).sum() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(('yaw', 'rows', 'columns'), [(0.0, 2, 4), (math.pi, 2, 4), (math.pi / 2, 6, 2)])
def test_boxes_along_the_axes(yaw, rows, columns):
    """Cells are 1 m along x and 0.75 m along y, so 4 m x 2 m hold 4 x 2 centres, or turned 2 x 6."""
    mask = bev_box_masks(box(0.0, 0.0, 4.0, 2.0, yaw), SIZE, **GRID)[0]
    assert mask[8 - rows // 2 : 8 + rows // 2, 16 - columns // 2 : 16 + columns // 2].all()
    assert mask.sum() == rows * columns


def test_x_runs_along_columns_and_y_along_rows():
    mask = bev_box_masks(box(10.5, -5.6, 0.9, 0.7), SIZE, **GRID)[0]
    assert mask.nonzero().tolist() == [[0, 26]]


def test_a_positive_yaw_turns_from_x_to_y():
    mask = bev_box_masks(box(0.0, 3.0, 12.0, 1.0, math.pi / 4), SIZE, **GRID)[0]
    rows, columns = mask.nonzero().double().unbind(1)
    assert torch.corrcoef(torch.stack([rows, columns]))[0, 1] > 0.9


def test_turning_map_and_boxes_by_half_a_turn_turns_the_mask():
    boxes = random_boxes(seed=1)
    turned = boxes * torch.tensor([-1, -1, 1, 1, 1, 1, 1.0]) + torch.tensor([0, 0, 0, 0, 0, 0, math.pi])
    flipped = dict(x_range=(-16.0, 16.0), y_range=(-12.0, 6.0))
    assert torch.equal(bev_box_masks(turned, SIZE, **flipped), bev_box_masks(boxes, SIZE, **GRID).flip(1, 2))


def test_padding_invalid_and_non_finite_boxes_cover_nothing():
    boxes = torch.cat([box(0, 0, 0, 2), box(0, 0, 2, -1), torch.zeros(1, 1, 7), box() * torch.nan, box()], 1)
    valid = torch.tensor([[True, True, True, True, False]])
    assert not bev_box_masks(boxes, SIZE, **GRID, valid=valid).any()
    assert (bev_box_indices(boxes, SIZE, **GRID, valid=valid) == -1).all()
    assert not bev_box_scales(boxes, SIZE, **GRID, valid=valid).any()
    assert torch.equal(bev_box_masks(boxes, SIZE, **GRID), bev_box_masks(box(), SIZE, **GRID))


def test_boxes_outside_of_the_map_cover_nothing_and_a_huge_one_all():
    assert not bev_box_masks(box(1e6, 0.0), SIZE, **GRID).any()
    assert not bev_box_masks(box(0.0, 1e6), SIZE, **GRID).any()
    assert bev_box_masks(box(0.0, 0.0, 1e6, 1e6, 0.3), SIZE, **GRID).all()


@pytest.mark.parametrize('function', FUNCTIONS)
def test_samples_without_boxes_are_empty(function):
    result = function(torch.zeros(2, 0, 7), SIZE, **GRID)
    assert result.shape == (2, *SIZE)
    assert (result == (-1 if function is bev_box_indices else 0)).all()


@pytest.mark.parametrize('function', FUNCTIONS)
def test_samples_do_not_influence_each_other(function, scene):
    single = torch.cat([function(sample[None], SIZE, **GRID) for sample in scene[0]])
    assert torch.equal(function(scene[0], SIZE, **GRID), single)


@pytest.mark.parametrize('function', FUNCTIONS)
def test_graph_is_captured_whole(function, scene):
    compiled = torch.compile(function, fullgraph=True, backend='aot_eager')
    assert torch.equal(compiled(scene[0], SIZE, **GRID), function(scene[0], SIZE, **GRID))


@pytest.mark.parametrize('function', FUNCTIONS)
def test_no_value_is_read_back_to_the_host(function):
    """Tensors of the meta device have no values to read."""
    result = function(torch.zeros(2, 5, 7, device='meta'), SIZE, **GRID)
    assert result.shape == (2, *SIZE)


@pytest.mark.parametrize('function', FUNCTIONS)
def test_refuses_what_does_not_fit(function):
    with pytest.raises(ShapeError, match=r'boxes \(B, N, 7\)'):
        function(torch.zeros(2, 7), SIZE, **GRID)
    with pytest.raises(ShapeError, match='valid has shape'):
        function(torch.zeros(2, 3, 7), SIZE, **GRID, valid=torch.ones(2, 4, dtype=torch.bool))
    with pytest.raises(ConfigError, match='x_range must be'):
        function(torch.zeros(2, 3, 7), SIZE, x_range=(1.0, 0.0), y_range=(0.0, 1.0))

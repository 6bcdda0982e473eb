"""Tests of mono_distill.targets.bev_gaussian."""

import math

import pytest
import torch

from mono_distill.ops.box_masks import gaussian_radius
from mono_distill.registry import MODELS
from mono_distill.targets.bev_gaussian import BEVGaussianMask, bev_gaussian_mask
from mono_distill.utils.errors import ConfigError, ShapeError

# Cells of 1 m by 0.5 m: 12 columns, 16 rows.
GRID = dict(size=(16, 12), x_range=(-6.0, 6.0), y_range=(0.0, 8.0))


def random_boxes():
    low = torch.tensor([-6.0, 0.0, 0.0, 0.5, 0.5, 1.0, -3.1])
    high = torch.tensor([6.0, 8.0, 0.0, 6.0, 3.0, 1.0, 3.1])
    boxes = low + torch.rand(2, 4, 7) * (high - low)
    return boxes, torch.tensor([[True, True, False, True], [False, True, False, False]])


def literal(boxes, valid, min_overlap, min_radius):
    mask = torch.zeros(16, 12)
    for box, real in zip(boxes, valid.tolist(), strict=True):
        if not real:
            continue
        column, row = int((box[0].item() + 6) / 1.0), int(box[1].item() / 0.5)
        radius = max(min_radius, int(gaussian_radius(box[4] / 0.5, box[3] / 1.0, min_overlap)))
        sigma = (2 * radius + 1) / 6
        for y in range(max(0, row - radius), min(16, row + radius + 1)):
            for x in range(max(0, column - radius), min(12, column + radius + 1)):
                value = math.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * sigma**2))
                mask[y, x] = max(mask[y, x].item(), value)
    return mask


@pytest.mark.parametrize('options', [dict(min_overlap=0.1, min_radius=1), dict(min_overlap=0.7, min_radius=0)])
def test_equals_object_after_object(options):
    boxes, valid = random_boxes()
    expected = torch.stack([literal(*frame, **options) for frame in zip(boxes, valid, strict=True)])
    torch.testing.assert_close(bev_gaussian_mask(boxes, valid, **GRID, **options), expected)


def test_a_car_ahead_is_marked_in_its_column_and_row():
    box = torch.tensor([[[3.2, 6.1, 0.0, 4.0, 2.0, 1.5, 0.3]]])
    mask = bev_gaussian_mask(box, **GRID)
    assert (mask == 1).nonzero().tolist() == [[0, 12, 9]]


def test_heading_does_not_matter():
    boxes, valid = random_boxes()
    turned = boxes.clone()
    turned[..., 6] += 1.0
    assert torch.equal(bev_gaussian_mask(boxes, valid, **GRID), bev_gaussian_mask(turned, valid, **GRID))


def test_objects_that_are_not_on_the_map_are_left_out():
    box = torch.tensor([[[6.01, 4.0, 0.0, 4.0, 2.0, 1.5, 0.0], [0.0, -0.01, 0.0, 4.0, 2.0, 1.5, 0.0]]])
    assert not bev_gaussian_mask(box, **GRID).any()


def test_empty_slots_may_hold_anything():
    boxes, valid = random_boxes()
    expected = bev_gaussian_mask(boxes, valid, **GRID)
    boxes[~valid] = float('nan')
    assert torch.equal(bev_gaussian_mask(boxes, valid, **GRID), expected)
    assert not bev_gaussian_mask(boxes[:, :0], **GRID).any()


def test_registry_builds_it_and_it_equals_the_function():
    boxes, valid = random_boxes()
    module = MODELS.build(dict(type='mono_distill.BEVGaussianMask', **GRID, min_overlap=0.7, min_radius=0))
    assert torch.equal(module(boxes, valid), bev_gaussian_mask(boxes, valid, **GRID, min_overlap=0.7, min_radius=0))


def test_what_does_not_fit_is_named():
    boxes, valid = random_boxes()
    with pytest.raises(ShapeError, match=r'expected boxes \(B, N, 7\) or more columns, got \(2, 4, 5\)'):
        bev_gaussian_mask(boxes[..., :5], **GRID)
    with pytest.raises(ShapeError, match=r'valid has shape \(2, 3\)'):
        bev_gaussian_mask(boxes, valid[:, :3], **GRID)
    with pytest.raises(ConfigError, match='min_overlap must lie between 0 and 1, got 1.0'):
        BEVGaussianMask(**GRID, min_overlap=1.0)


def test_a_negative_radius_is_refused_alike_when_built_and_when_called():
    with pytest.raises(ConfigError, match='bev_gaussian_mask: min_radius must not be negative, got -1 cells'):
        BEVGaussianMask(**GRID, min_radius=-1)
    with pytest.raises(ConfigError, match='bev_gaussian_mask: min_radius must not be negative, got -1 cells'):
        bev_gaussian_mask(*random_boxes(), **GRID, min_radius=-1)

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mono_distill.ops.box_depth_map import box_depth_map

SIZE = (7, 11)


def random_boxes(batch=3, count=6):
    """Boxes of which many overlap and some stick out of the map or lie outside."""
    start = torch.rand(batch, count, 2) * torch.tensor([14.0, 9.0]) - 3
    boxes = torch.cat([start, start + torch.rand(batch, count, 2) * 5], -1)
    return boxes, torch.rand(batch, count) * 60 + 2, torch.rand(batch, count) > 0.2


def painted_one_by_one(boxes, depths, valid, clamp):
    """Far to near, each over the ones before, with the slices of the official code."""
    maps = np.zeros((len(boxes), *SIZE), np.float32)
    for b, image in enumerate(maps):
        for i in sorted(range(boxes.shape[1]), key=lambda i: -depths[b, i]):
            if valid[b, i]:
                x1, y1, x2, y2 = boxes[b, i].tolist()
                corners = [math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)]
                if clamp:
                    corners = [max(corner, 0) for corner in corners]
                image[corners[1] : corners[3], corners[0] : corners[2]] = depths[b, i]
    return torch.from_numpy(maps)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize(('negative_indices', 'clamp'), [('clip', True), ('wrap', False)])
def test_all_boxes_at_once_equal_one_by_one_from_far_to_near(seed, negative_indices, clamp):
    torch.manual_seed(seed)
    boxes, depths, valid = random_boxes()
    painted = box_depth_map(boxes, depths, valid, SIZE, negative_indices=negative_indices)
    assert torch.equal(painted, painted_one_by_one(boxes, depths, valid, clamp))
    assert painted.any()


def test_a_box_that_starts_above_the_map_is_kept_and_vanishes_in_the_official_form():
    arguments = (torch.tensor([[[2.0, -1.5, 4.0, 3.0]]]), torch.tensor([[9.0]]), torch.tensor([[True]]), SIZE)
    assert box_depth_map(*arguments).sum() == 2 * 3 * 9
    assert box_depth_map(*arguments, negative_indices='wrap').sum() == 0


def test_unused_slots_may_hold_anything():
    boxes, depths, _ = random_boxes(1, 3)
    boxes[0, 1], depths[0, 2] = torch.nan, torch.inf
    valid = torch.tensor([[True, False, False]])
    assert torch.equal(
        box_depth_map(boxes, depths, valid, SIZE), box_depth_map(boxes[:, :1], depths[:, :1], valid[:, :1], SIZE)
    )


@pytest.mark.parametrize('count', [0, 2])
def test_without_objects_all_is_background(count):
    boxes, depths, valid = random_boxes(2, count)
    assert not box_depth_map(boxes, depths, torch.zeros_like(valid), SIZE).any()

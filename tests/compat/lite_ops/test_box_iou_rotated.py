"""Overlap of rotated boxes: against exact polygons (shapely), in degenerate cases, and against compiled mmcv."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from shapely import affinity
from shapely.geometry import box as rectangle

from mono_distill.compat.lite_ops import box_iou_rotated as module
from mono_distill.compat.lite_ops.box_iou_rotated import box_iou_rotated, rotated_overlaps


def random_boxes(count: int, *, spread: float = 6.0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Boxes crowded enough that most pairs overlap; angles beyond one turn in both directions."""
    centre = torch.rand(count, 2, dtype=dtype) * spread
    return torch.cat(
        [centre, 0.2 + 4 * torch.rand(count, 2, dtype=dtype), 20 * torch.rand(count, 1, dtype=dtype) - 10], 1
    )


def polygon(box):
    x, y, w, h, angle = box.tolist()
    return affinity.translate(affinity.rotate(rectangle(-w / 2, -h / 2, w / 2, h / 2), angle, (0, 0), True), x, y)


def overlaps_of_polygons(boxes1, boxes2, *, over_first=False):
    polygons1, polygons2 = [polygon(b) for b in boxes1], [polygon(b) for b in boxes2]
    shared = np.array([[a.intersection(b).area for b in polygons2] for a in polygons1])
    area1, area2 = np.array([a.area for a in polygons1])[:, None], np.array([b.area for b in polygons2])
    return torch.from_numpy(shared / (area1 if over_first else area1 + area2 - shared))


@pytest.mark.parametrize('over_first', [False, True])
def test_overlaps_equal_those_of_polygons(over_first):
    boxes1, boxes2 = random_boxes(40), random_boxes(50)
    expected = overlaps_of_polygons(boxes1, boxes2, over_first=over_first)
    assert (expected > 0).sum() > 500
    torch.testing.assert_close(rotated_overlaps(boxes1, boxes2, over_first=over_first), expected, rtol=0, atol=1e-12)


def test_aligned_overlaps_are_the_diagonal():
    boxes1, boxes2 = random_boxes(30), random_boxes(30)
    torch.testing.assert_close(
        rotated_overlaps(boxes1, boxes2, aligned=True), rotated_overlaps(boxes1, boxes2).diagonal(), rtol=0, atol=0
    )


def test_overlap_is_symmetric():
    boxes1, boxes2 = random_boxes(30), random_boxes(30)
    torch.testing.assert_close(rotated_overlaps(boxes1, boxes2), rotated_overlaps(boxes2, boxes1).T)


@pytest.mark.parametrize('nudge', [0.0, 1e-12, 1e-9, 1e-7])
def test_nearly_identical_boxes_overlap_completely(nudge):
    boxes = random_boxes(500, spread=100)
    moved = boxes + nudge * torch.randn_like(boxes)
    assert (rotated_overlaps(boxes, moved, aligned=True) - 1).abs().max() < 1e-12 + 100 * nudge


@pytest.mark.parametrize('turns', [0.5, 1, -3])
def test_turning_a_box_around_changes_nothing(turns):
    boxes = random_boxes(200)
    turned = boxes + boxes.new_tensor([0, 0, 0, 0, turns * 2 * math.pi])
    assert (rotated_overlaps(boxes, turned, aligned=True) - 1).abs().max() < 1e-12


def test_a_quarter_turn_swaps_width_and_height():
    boxes = random_boxes(200)
    swapped = boxes[:, [0, 1, 3, 2, 4]] + boxes.new_tensor([0, 0, 0, 0, math.pi / 2])
    assert (rotated_overlaps(boxes, swapped, aligned=True) - 1).abs().max() < 1e-12


def test_box_inside_another():
    outer, inner = torch.tensor([[0.0, 0, 10, 10, 0.3]]), torch.tensor([[0.5, 0.5, 1, 2, 1.0]])
    assert rotated_overlaps(outer, inner).item() == pytest.approx(2 / 100)
    assert rotated_overlaps(inner, outer, over_first=True).item() == pytest.approx(1)


def test_touching_boxes_do_not_overlap():
    left, right = torch.tensor([[0.0, 0, 2, 2, 0]]), torch.tensor([[2.0, 0, 2, 2, 0], [2.0, 2.0, 2, 2, 0]])
    assert rotated_overlaps(left, right).abs().max() == 0


@pytest.mark.parametrize(
    'degenerate',
    [[1.0, 1, 0, 2, 0.3], [1.0, 1, 2, 0, 0.3], [1.0, 1, 0, 0, 0], [1.0, 1, -1, 2, 0], [math.nan, 1, 1, 1, 0],
     [1.0, 1, math.inf, 1, 0], [1.0, 1, 1, 1, math.nan]],
)  # fmt: skip
def test_degenerate_boxes_overlap_nothing(degenerate):
    bad, good = torch.tensor([degenerate]), torch.tensor([[1.0, 1, 2, 2, 0]])
    pairs = [(bad, good), (good, bad), (bad, bad)]
    assert [rotated_overlaps(a, b).item() for a, b in pairs] == [0, 0, 0]


def test_boxes_that_are_apart_overlap_exactly_0():
    boxes1, boxes2 = random_boxes(100, spread=20), random_boxes(100, spread=20)
    apart = overlaps_of_polygons(boxes1, boxes2) == 0
    assert rotated_overlaps(boxes1, boxes2)[apart].max() == 0


def test_a_speck_inside_a_huge_box_is_not_lost():
    speck, huge = (
        torch.tensor([[300.0, -200, 1e-4, 1e-4, 0.7]]).double(),
        torch.tensor([[0.0, 0, 1e4, 1e4, 0.3]]).double(),
    )
    assert rotated_overlaps(speck, huge, over_first=True).item() == pytest.approx(1, abs=1e-6)
    assert rotated_overlaps(huge, speck).item() == pytest.approx(1e-16, rel=1e-6)


def test_no_boxes():
    none, some = torch.empty(0, 5), random_boxes(3)
    assert rotated_overlaps(none, some).shape == (0, 3)
    assert rotated_overlaps(some, none).shape == (3, 0)
    assert rotated_overlaps(none, none, aligned=True).shape == (0,)


def test_far_from_the_origin_nothing_is_lost():
    boxes1, boxes2 = random_boxes(30), random_boxes(30)
    away = boxes1.new_tensor([1e6, -1e6, 0, 0, 0])
    torch.testing.assert_close(
        rotated_overlaps(boxes1 + away, boxes2 + away), rotated_overlaps(boxes1, boxes2), rtol=0, atol=1e-8
    )


def test_many_pairs_are_computed_in_chunks(monkeypatch):
    boxes1, boxes2 = random_boxes(30), random_boxes(40)
    expected = rotated_overlaps(boxes1, boxes2)
    monkeypatch.setattr(module, '_PAIRS_PER_CHUNK', 7)
    torch.testing.assert_close(rotated_overlaps(boxes1, boxes2), expected, rtol=0, atol=0)


@pytest.mark.parametrize('dtype', [torch.float16, torch.float32, torch.float64])
def test_the_result_is_written_in_the_precision_of_the_output(dtype):
    boxes = random_boxes(4).to(dtype)
    ious = torch.zeros(16, dtype=dtype)
    box_iou_rotated(boxes, boxes, ious, mode_flag=0, aligned=False)
    torch.testing.assert_close(ious.view(4, 4), rotated_overlaps(boxes, boxes).to(dtype))


def test_no_gradient_is_recorded():
    boxes = random_boxes(3).requires_grad_()
    ious = torch.zeros(9, dtype=torch.float64)
    box_iou_rotated(boxes, boxes, ious, mode_flag=0, aligned=False)
    assert not ious.requires_grad


@pytest.mark.parametrize('clockwise', [True, False])
@pytest.mark.parametrize('mode', ['iou', 'iof'])
def test_mmcv_runs_on_top(mode, clockwise):
    from mmcv.ops import box_iou_rotated as mmcv_box_iou_rotated

    boxes1, boxes2 = random_boxes(20), random_boxes(15)
    sign = boxes1.new_tensor([1, 1, 1, 1, 1 if clockwise else -1])
    expected = overlaps_of_polygons(boxes1 * sign, boxes2 * sign, over_first=mode == 'iof').float()
    actual = mmcv_box_iou_rotated(boxes1.float(), boxes2.float(), mode=mode, clockwise=clockwise)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_boxes_of_mmdet3d_overlap():
    from mmdet3d.structures import LiDARInstance3DBoxes

    boxes = LiDARInstance3DBoxes(torch.tensor([[0.0, 0, 0, 4, 2, 2, 0.5], [1.0, 0, 0, 4, 2, 2, 0.5]]))
    overlaps = LiDARInstance3DBoxes.overlaps(boxes, boxes)
    torch.testing.assert_close(overlaps.diagonal(), torch.ones(2))
    assert 0.3 < overlaps[0, 1] < 0.8


@pytest.mark.full
@pytest.mark.parametrize('aligned', [False, True])
@pytest.mark.parametrize('mode_flag', [0, 1])
def test_equals_compiled_mmcv_on_random_boxes(mode_flag, aligned):
    import mmcv._ext as ext

    boxes1, boxes2 = random_boxes(60, dtype=torch.float32), random_boxes(60, dtype=torch.float32)
    expected, actual = torch.zeros(60 if aligned else 3600), torch.zeros(60 if aligned else 3600)
    ext.box_iou_rotated(boxes1, boxes2, expected, mode_flag=mode_flag, aligned=aligned)
    box_iou_rotated(boxes1, boxes2, actual, mode_flag=mode_flag, aligned=aligned)
    torch.testing.assert_close(actual, expected, rtol=0, atol=2e-6)


@pytest.mark.full
def test_equals_compiled_mmcv_on_boxes_without_area():
    import mmcv._ext as ext

    boxes = torch.tensor([[0.0, 0, 0, 2, 0], [0.0, 0, 2, 0, 1], [0.0, 0, 0, 0, 0], [0.0, 0, 2, 2, 0]])
    expected, actual = torch.zeros(16), torch.zeros(16)
    ext.box_iou_rotated(boxes, boxes, expected, mode_flag=0, aligned=False)
    box_iou_rotated(boxes, boxes, actual, mode_flag=0, aligned=False)
    torch.testing.assert_close(actual, expected)


@pytest.mark.full
def test_compiled_mmcv_loses_boxes_that_nearly_coincide():
    """The reason for float64 and for clipping by clamping; if this fails, the docstring of the op is out of date."""
    import mmcv._ext as ext

    boxes = random_boxes(2000, spread=100, dtype=torch.float32)
    moved = boxes + 1e-6 * torch.randn_like(boxes)
    ious = torch.zeros(2000)
    ext.box_iou_rotated(boxes, moved, ious, mode_flag=0, aligned=True)
    assert ious.min() < 0.5
    assert rotated_overlaps(boxes, moved, aligned=True).min() > 0.999

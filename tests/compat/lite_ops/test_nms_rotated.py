"""Non-maximum suppression of rotated boxes: against the textbook loop and against compiled mmcv."""

from __future__ import annotations

import pytest
import torch

from mono_distill.compat.lite_ops.box_iou_rotated import rotated_overlaps
from mono_distill.compat.lite_ops.nms_rotated import nms_rotated


def random_boxes(count: int, spread: float = 30.0) -> tuple[torch.Tensor, torch.Tensor]:
    shape = 1 + 4 * torch.rand(count, 2)
    return torch.cat([spread * torch.rand(count, 2), shape, 6 * torch.rand(count, 1) - 3], 1), torch.rand(count)


def select(boxes, scores, threshold, labels=None):
    order = scores.sort(descending=True).indices
    labels = torch.empty(0) if labels is None else labels
    return nms_rotated(boxes, scores, order, boxes[order], labels, threshold, 0)


def textbook(boxes, scores, threshold):
    overlaps = rotated_overlaps(boxes, boxes)
    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        if all(overlaps[i, j] <= threshold for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize('threshold', [0.0, 0.2, 0.7])
def test_keeps_what_the_textbook_keeps(threshold):
    boxes, scores = random_boxes(150)
    assert select(boxes, scores, threshold).tolist() == textbook(boxes, scores, threshold)


def test_a_box_goes_only_above_the_threshold():
    boxes = torch.tensor([[0.0, 0, 2, 2, 0], [0.0, 0, 2, 2, 0]])
    assert select(boxes, torch.tensor([0.5, 0.9]), 1.0).tolist() == [1, 0]
    assert select(boxes, torch.tensor([0.5, 0.9]), 0.999).tolist() == [1]


def test_labels_make_no_difference():
    boxes, scores = random_boxes(50)
    labels = torch.arange(50) % 3
    with_labels = torch.cat([boxes, labels[:, None]], 1)
    assert select(with_labels, scores, 0.2, labels).tolist() == select(boxes, scores, 0.2).tolist()


def test_boxes_without_area_stay():
    boxes = torch.zeros(3, 5)
    assert select(boxes, torch.tensor([0.1, 0.3, 0.2]), 0.1).tolist() == [1, 2, 0]


@pytest.mark.parametrize('clockwise', [True, False])
def test_mmcv_runs_on_top(clockwise):
    from mmcv.ops import nms_rotated as mmcv_nms_rotated

    boxes, scores = random_boxes(100)
    dets, kept = mmcv_nms_rotated(boxes, scores, 0.2, clockwise=clockwise)
    sign = boxes.new_tensor([1, 1, 1, 1, 1 if clockwise else -1])
    assert kept.tolist() == textbook(boxes * sign, scores, 0.2)
    torch.testing.assert_close(dets, torch.cat([boxes[kept], scores[kept, None]], 1))


def test_bev_suppression_of_mmdet3d_runs_on_top():
    from mmdet3d.models.layers import nms_bev, nms_normal_bev

    boxes, scores = random_boxes(100)
    corners = torch.cat([boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2, boxes[:, 4:]], 1)
    assert nms_bev(corners, scores, 0.2).tolist() == textbook(boxes, scores, 0.2)
    assert nms_bev(corners, scores, 0.2, pre_max_size=20, post_max_size=4).shape == (4,)
    upright = boxes * boxes.new_tensor([1, 1, 1, 1, 0])
    assert nms_normal_bev(corners, scores, 0.2).tolist() == textbook(upright, scores, 0.2)


@pytest.mark.full
@pytest.mark.parametrize('count', [1, 60, 800])
def test_equals_compiled_mmcv(count):
    import mmcv._ext as ext

    boxes, scores = random_boxes(count)
    boxes[::10, 2] = 0  # some without area
    order = scores.sort(descending=True).indices
    for threshold in (0.05, 0.4):
        arguments = (boxes, scores, order, boxes[order], torch.empty(0, dtype=torch.int), threshold, False)
        torch.testing.assert_close(nms_rotated(*arguments), ext.nms_rotated(*arguments))

"""Non-maximum suppression of axis-aligned boxes: against the textbook loop and against compiled mmcv."""

from __future__ import annotations

import pytest
import torch

from mono_distill.compat.lite_ops.nms import nms


def random_boxes(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    corner = 60 * torch.rand(count, 2)
    return torch.cat([corner, corner + 1 + 20 * torch.rand(count, 2)], 1), torch.rand(count)


def textbook(boxes, scores, threshold, offset):
    kept: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        x1, y1, x2, y2 = boxes[i].tolist()
        ratios = []
        for j in kept:
            u1, v1, u2, v2 = boxes[j].tolist()
            shared = max(0, min(x2, u2) - max(x1, u1) + offset) * max(0, min(y2, v2) - max(y1, v1) + offset)
            areas = (x2 - x1 + offset) * (y2 - y1 + offset) + (u2 - u1 + offset) * (v2 - v1 + offset)
            ratios.append(shared / (areas - shared))
        if all(ratio <= threshold for ratio in ratios):
            kept.append(i)
    return kept


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.7])
def test_keeps_what_the_textbook_keeps(threshold, offset):
    boxes, scores = random_boxes(120)
    assert nms(boxes, scores, threshold, offset).tolist() == textbook(boxes, scores, threshold, offset)


def test_an_overlap_equal_to_the_threshold_is_kept():
    boxes = torch.tensor([[0.0, 0, 2, 1], [1.0, 0, 2, 1]])
    assert nms(boxes, torch.tensor([0.9, 0.8]), 0.5, 0).tolist() == [0, 1]
    assert nms(boxes, torch.tensor([0.9, 0.8]), 0.49, 0).tolist() == [0]


def test_equal_scores_are_ranked_by_index():
    boxes = torch.tensor([[0.0, 0, 2, 2], [0.0, 0, 2, 2], [5.0, 5, 6, 6]])
    assert nms(boxes, torch.full((3,), 0.5), 0.5, 0).tolist() == [0, 2]


def test_boxes_without_area_stay():
    boxes = torch.zeros(3, 4)
    assert nms(boxes, torch.tensor([0.1, 0.3, 0.2]), 0.5, 0).tolist() == [1, 2, 0]


def test_no_boxes():
    assert nms(torch.empty(0, 4), torch.empty(0), 0.5, 0).shape == (0,)


def test_half_precision_boxes():
    boxes, scores = random_boxes(50)
    assert nms(boxes.half(), scores, 0.5, 0).tolist() == nms(boxes.half().float(), scores, 0.5, 0).tolist()


def test_mmcv_runs_on_top():
    from mmcv.ops import batched_nms
    from mmcv.ops import nms as mmcv_nms

    boxes, scores = random_boxes(80)
    dets, kept = mmcv_nms(boxes, scores, 0.4, max_num=5)
    assert kept.tolist() == textbook(boxes, scores, 0.4, 0)[:5]
    torch.testing.assert_close(dets, torch.cat([boxes[kept], scores[kept, None]], 1))

    labels = torch.arange(80) % 3
    _, kept = batched_nms(boxes, scores, labels, dict(type='nms', iou_threshold=0.4))
    per_class = [textbook(boxes[labels == c], scores[labels == c], 0.4, 0) for c in range(3)]
    expected = torch.cat([(labels == c).nonzero()[rows, 0] for c, rows in enumerate(per_class)])
    assert sorted(kept.tolist()) == sorted(expected.tolist())


@pytest.mark.full
@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('count', [1, 50, 1500])
def test_equals_compiled_mmcv(count, offset):
    import mmcv._ext as ext

    boxes, scores = random_boxes(count)
    boxes[::10, 2:] = boxes[::10, :2]  # some without area
    for threshold in (0.0, 0.5, 1.0):
        expected = ext.nms(boxes, scores, iou_threshold=threshold, offset=offset)
        torch.testing.assert_close(nms(boxes, scores, iou_threshold=threshold, offset=offset), expected)

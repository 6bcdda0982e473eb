"""Tests of mono_distill.models.bevformer.coder."""

import pytest
import torch
from bevformer_models import annotated

from mono_distill.models.bevformer.coder import decode_queries
from mono_distill.ops.gt_box_codes import gt_box_codes
from mono_distill.utils.errors import ShapeError


def test_codes_of_objects_give_their_boxes_back():
    samples = annotated((4,))
    targets = gt_box_codes(samples)
    logits = torch.full((1, 4, 10), -9.0)
    logits[0, torch.arange(4), targets['labels'][0]] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    (found,) = decode_queries(logits, targets['codes'], max_num=4)
    torch.testing.assert_close(found.bboxes_3d.tensor, samples[0].gt_instances_3d.bboxes_3d.tensor)
    assert torch.equal(found.labels_3d, samples[0].gt_instances_3d.labels_3d)
    torch.testing.assert_close(found.scores_3d, torch.tensor([4.0, 3.0, 2.0, 1.0]).sigmoid())


def test_the_best_pairs_of_query_and_class_are_kept():
    logits = torch.tensor([[[3.0, 2.0, -5.0], [-1.0, 2.5, 0.0]]])
    codes = torch.zeros(1, 2, 10)
    codes[0, 1, 0] = 7.0
    (found,) = decode_queries(logits, codes, max_num=4, score_thr=0.6)
    assert found.labels_3d.tolist() == [0, 1, 1]
    assert found.bboxes_3d.tensor[:, 0].tolist() == [0.0, 7.0, 0.0]


def test_boxes_outside_of_the_range_are_dropped():
    codes = torch.zeros(1, 3, 10)
    codes[0, :, 0] = torch.tensor([0.0, 60.0, 62.0])
    codes[0, 0, 4] = 11.0
    (found,) = decode_queries(torch.zeros(1, 3, 1), codes, center_range=(-61.2, -61.2, -10, 61.2, 61.2, 10))
    assert found.bboxes_3d.tensor[:, 0].tolist() == [60.0]


def test_nothing_may_be_found():
    (found,) = decode_queries(torch.full((1, 3, 2), -9.0), torch.zeros(1, 3, 10), score_thr=0.5)
    assert found.bboxes_3d.tensor.shape == (0, 9)


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r'expected \(B, Q, K\) and \(B, Q, 10\)'):
        decode_queries(torch.zeros(1, 3, 2), torch.zeros(1, 3, 8))

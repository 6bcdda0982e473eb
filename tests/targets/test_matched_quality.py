"""Tests of mono_distill.targets.matched_quality."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from mono_distill.ops.box_code import encode_box_code
from mono_distill.ops.object_matching import object_cost
from mono_distill.ops.rotated_iou_torch import rotated_iou_3d
from mono_distill.targets.matched_quality import MatchedQuality, matched_quality
from mono_distill.utils.errors import ConfigError, ShapeError

CLASSES = 3


def scene(batch=2, objects=4, detections=9):
    """Objects and detections around them, the last ones far away."""
    torch.manual_seed(3)
    low, high = torch.tensor([-20.0, -20, -2, 2, 1, 1, -3, -5, -5]), torch.tensor([20.0, 20, 0, 6, 3, 3, 3, 5, 5])
    boxes = low + torch.rand(batch, objects, 9) * (high - low)
    near = boxes.repeat(1, 2, 1) + torch.randn(batch, 2 * objects, 9) * 0.2
    found = torch.cat([near, near[:, :1] + 100.0], dim=1)[:, :detections]
    logits = torch.randn(batch, detections, CLASSES)
    labels, mask = torch.randint(0, CLASSES, (batch, objects)), torch.ones(batch, objects, dtype=torch.bool)
    mask[1, 2:] = False
    scores, predicted = logits.sigmoid().max(-1)
    valid = torch.ones(batch, detections, dtype=torch.bool)
    valid[0, 1] = False
    predictions = dict(logits=logits, boxes=encode_box_code(found), scores=scores, labels=predicted, valid=valid)
    return predictions, dict(codes=encode_box_code(boxes), labels=labels, mask=mask), found, boxes


def iou(a, b):
    return float(rotated_iou_3d(a[:7], b[:7]))


@pytest.mark.parametrize('gamma', [0.5, 0.25])
def test_each_detection_is_measured_on_the_object_of_its_class_it_overlaps_most(gamma):
    predictions, objects, found, boxes = scene()
    quality = matched_quality(predictions, objects, gamma=gamma)
    for b in range(2):
        for r in range(9):
            own = [
                iou(found[b, r], boxes[b, n])
                for n in range(4)
                if objects['mask'][b, n] and objects['labels'][b, n] == predictions['labels'][b, r]
            ]
            best = max(own, default=0.0) if predictions['valid'][b, r] else 0.0
            expected = float(predictions['scores'][b, r]) ** (1 - gamma) * best**gamma if best else 0.0
            assert float(quality[b, r]) == pytest.approx(expected, abs=1e-4)
    assert (quality > 0).sum() >= 4


def test_one_to_one_each_object_has_one_detection():
    predictions, objects, found, boxes = scene()
    quality = matched_quality(predictions, objects, matching='one_to_one')
    costs = object_cost(predictions['logits'], predictions['boxes'], objects['labels'], objects['codes'])
    for b in range(2):
        rows = torch.where(predictions['valid'][b])[0]
        columns = torch.where(objects['mask'][b])[0]
        chosen = linear_sum_assignment(costs[b][rows][:, columns].numpy())
        expected = torch.zeros(9)
        for row, column in zip(*chosen, strict=True):
            r, n = rows[row], columns[column]
            confidence = predictions['logits'][b, r, objects['labels'][b, n]].sigmoid()
            expected[r] = (confidence * iou(found[b, r], boxes[b, n])) ** 0.5
        torch.testing.assert_close(quality[b], expected, rtol=1e-4, atol=1e-4)
        assert (expected > 0).sum() == len(columns)


@pytest.mark.parametrize('matching', ['overlap', 'one_to_one'])
def test_without_objects_nothing_is_good(matching):
    predictions, objects, *_ = scene()
    objects['mask'][:] = False
    assert matched_quality(predictions, objects, matching=matching).abs().sum() == 0


def test_the_numbers_of_the_formula():
    """A probability of 0.64 and an overlap of a quarter: 0.4."""
    box = torch.tensor([[[0.0, 0, 0, 4, 2, 2, 0, 0, 0]]])
    other = box.clone()
    other[..., 0] = 2.4
    predictions = dict(
        logits=torch.tensor([[[0.64]]]).logit(),
        boxes=encode_box_code(other),
        scores=torch.tensor([[0.64]]),
        labels=torch.tensor([[0]]),
        valid=torch.tensor([[True]]),
    )
    objects = dict(codes=encode_box_code(box), labels=torch.tensor([[0]]), mask=torch.tensor([[True]]))
    for matching in ('overlap', 'one_to_one'):
        assert float(MatchedQuality(matching=matching)(predictions, objects)) == pytest.approx(0.4, abs=1e-4)


def test_an_unknown_velocity_does_no_harm():
    predictions, objects, *_ = scene()
    expected = {
        matching: matched_quality(predictions, objects, matching=matching) for matching in ('overlap', 'one_to_one')
    }
    objects['codes'][..., 8:] = torch.nan
    for matching, quality in expected.items():
        torch.testing.assert_close(matched_quality(predictions, objects, matching=matching), quality)


def test_mistakes_are_named():
    predictions, objects, *_ = scene()
    with pytest.raises(ConfigError, match="must be 'overlap' or 'one_to_one', got 'best'"):
        MatchedQuality(matching='best')
    with pytest.raises(ConfigError, match='gamma must be within'):
        MatchedQuality(1.5)
    with pytest.raises(ShapeError, match="'valid' has shape"):
        matched_quality({**predictions, 'valid': predictions['valid'][:, :3]}, objects)
    with pytest.raises(ConfigError, match="objects: needs 'mask'"):
        matched_quality(predictions, {})

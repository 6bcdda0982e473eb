"""Tests of mono_distill.ops.prediction_quality."""

from __future__ import annotations

import pytest
import torch

from mono_distill.ops.prediction_quality import prediction_quality, quality_by_overlap
from mono_distill.utils.errors import ConfigError, ShapeError


def test_quality_worked_out_by_hand():
    quality = prediction_quality(torch.tensor([0.64]), torch.tensor([0.25]), gamma=0.5)
    torch.testing.assert_close(quality, torch.tensor([0.4]))


@pytest.mark.parametrize(('gamma', 'expected'), [(0.0, 0.64), (1.0, 0.25), (0.25, 0.64**0.75 * 0.25**0.25)])
def test_gamma_goes_from_confidence_to_overlap(gamma, expected):
    quality = prediction_quality(torch.tensor([0.64]), torch.tensor([0.25]), gamma=gamma)
    torch.testing.assert_close(quality, torch.tensor([expected]))


@pytest.mark.parametrize('gamma', [0.0, 0.5, 1.0])
def test_what_overlaps_nothing_has_no_quality(gamma):
    assert prediction_quality(torch.tensor([0.9, 0.0]), torch.tensor([0.0, 0.0]), gamma=gamma).tolist() == [0.0, 0.0]


def test_nan_of_either_is_not_hidden():
    nan = float('nan')
    assert prediction_quality(torch.tensor([nan, 0.5]), torch.tensor([0.5, nan])).isnan().all()


@pytest.mark.parametrize('gamma', [0.0, 0.3])
def test_matching_by_overlap_equals_the_loops(gamma):
    confidence, iou = torch.rand(3, 6), torch.rand(3, 6, 4)
    labels, object_labels = torch.randint(2, (3, 6)), torch.randint(2, (3, 4))
    object_valid = torch.rand(3, 4) > 0.3
    object_valid[2] = False
    iou[0, 0] = 0
    quality = quality_by_overlap(confidence, labels, iou, object_labels, object_valid, gamma=gamma)
    for b in range(3):
        for r in range(6):
            overlaps = [
                iou[b, r, g].item()
                for g in range(4)
                if object_valid[b, g] and object_labels[b, g] == labels[b, r] and iou[b, r, g] > 0
            ]
            expected = confidence[b, r].item() ** (1 - gamma) * max(overlaps) ** gamma if overlaps else 0.0
            assert quality[b, r].item() == pytest.approx(expected)


def test_images_without_annotations_give_no_quality():
    quality = quality_by_overlap(
        torch.rand(2, 3),
        torch.zeros(2, 3, dtype=torch.long),
        torch.zeros(2, 3, 0),
        torch.zeros(2, 0, dtype=torch.long),
        torch.zeros(2, 0, dtype=torch.bool),
    )
    assert quality.tolist() == [[0.0] * 3] * 2


def test_gamma_outside_its_range_is_refused():
    with pytest.raises(ConfigError, match=r'gamma must be within \[0, 1\], got 1.5'):
        prediction_quality(torch.ones(1), torch.ones(1), gamma=1.5)


def test_shapes_that_do_not_fit_are_named():
    long, valid = torch.zeros(2, 3, dtype=torch.long), torch.ones(2, 4, dtype=torch.bool)
    with pytest.raises(ShapeError, match=r'object_labels \(2, 3\) does not fit iou \(2, 3, 4\)'):
        quality_by_overlap(torch.rand(2, 3), long, torch.zeros(2, 3, 4), long, valid)
    with pytest.raises(ShapeError, match=r'confidence \(2, 3\) does not fit iou \(3, 4\)'):
        quality_by_overlap(torch.rand(2, 3), long, torch.zeros(3, 4), long, valid)

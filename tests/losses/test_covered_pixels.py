"""Tests of mono_distill.losses.covered_pixels."""

import sys

import pytest
import torch

from mono_distill.losses.covered_pixels import covered_pixels
from mono_distill.losses.foreground_l2 import foreground_l2_loss
from mono_distill.losses.selective_feature import selective_feature_loss

WHOLE = [foreground_l2_loss, selective_feature_loss]


def test_pixels_are_maps_of_one_pixel_in_order():
    mask = torch.rand(2, 3, 4) < 0.5
    features, weights = torch.randn(2, 5, 3, 4), torch.randn(2, 3, 4)
    covered, pixels, picked = covered_pixels(mask, features, weights)
    assert covered.all()
    assert pixels.shape == (int(mask.sum()), 5, 1, 1)
    assert torch.equal(pixels.flatten(1), features.permute(0, 2, 3, 1)[mask])
    assert torch.equal(picked.flatten(), weights[mask])


def test_gradient_goes_to_the_covered_pixels():
    mask = torch.tensor([[[True, False]]])
    features = torch.ones(1, 3, 1, 2, requires_grad=True)
    covered_pixels(mask, features)[1].sum().backward()
    assert features.grad[0, :, 0].tolist() == [[1, 0]] * 3


def test_maps_that_the_host_cannot_read_come_back_as_they_are():
    mask, features = torch.ones(1, 2, 2, dtype=torch.bool, device='meta'), torch.ones(1, 3, 2, 2, device='meta')
    assert covered_pixels(mask, features)[1] is features
    seen = []
    torch.func.vmap(lambda x: seen.append(covered_pixels(x[:, 0] > 0, x)[1].shape) or x)(torch.ones(2, 1, 3, 2, 2))
    assert seen == [(1, 3, 2, 2)]


@pytest.mark.parametrize('loss', WHOLE)
def test_losses_of_pixels_and_of_whole_maps_are_the_same(monkeypatch, loss):
    student = torch.randn(2, 5, 6, 8, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(2, 5, 6, 8, dtype=torch.float64).relu()
    teacher[0, :, 1, 1] = 0
    teacher[1, 2, 2, 2] = float('nan')
    boxes = torch.tensor([[[0.0, 0.0, 30.0, 30.0], [20.0, 8.0, 64.0, 40.0]], [[8.0, 8.0, 40.0, 40.0], [0.0] * 4]])
    targets = dict(bboxes=boxes, mask_2d=boxes.any(-1), indices=torch.tensor([[1, 2], [3, 0]]))
    arguments = (
        (student, teacher, targets)
        if loss is foreground_l2_loss
        else (student, teacher, torch.randn(2, 2, dtype=torch.float64), targets)
    )
    results = []
    for _ in range(2):
        value = loss(*arguments, strides=[8])
        results.append((value, *torch.autograd.grad(value, student)))
        monkeypatch.setattr(sys.modules[loss.__module__], 'covered_pixels', lambda *tensors: tensors)
    assert results[0][0] > 0
    torch.testing.assert_close(results[0], results[1])

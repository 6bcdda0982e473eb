from __future__ import annotations

import math

import pytest
import torch

from mono_distill.losses import HeadingBinLoss, heading_bin_loss
from mono_distill.utils.errors import ShapeError


@pytest.fixture
def headings():
    generator = torch.Generator().manual_seed(9)
    pred = torch.randn(2, 3, 24, generator=generator, dtype=torch.float64)
    residual = torch.rand(2, 3, generator=generator, dtype=torch.float64) - 0.5
    mask = torch.tensor([[True, False, True], [True, True, False]])
    return pred, torch.tensor([[0, 11, 4], [7, 2, 99]]), residual, mask


def test_monodle_heading_loss_of_the_official_code(golden):
    file = golden('monodle_base_loss')
    maps = torch.from_numpy(file['out_heading']).double().requires_grad_()
    indices, mask = torch.from_numpy(file['tgt_indices']), torch.from_numpy(file['tgt_mask_2d'])
    pred = maps.flatten(2).gather(2, indices[:, None].expand(-1, 24, -1)).transpose(1, 2)
    bins, residuals = (torch.from_numpy(file[f'tgt_heading_{part}']).squeeze(-1) for part in ('bin', 'res'))
    loss = heading_bin_loss(pred, bins, residuals.double(), mask)
    loss.backward()
    assert loss.item() == pytest.approx(float(file['term_heading_f64']), rel=1e-7)
    torch.testing.assert_close(maps.grad.float(), torch.from_numpy(file['grad_heading_f64']), rtol=1e-6, atol=1e-9)


def test_a_sure_and_right_prediction_has_no_loss():
    pred = torch.zeros(1, 24)
    pred[0, 5], pred[0, 12 + 5] = 100.0, 0.2
    assert heading_bin_loss(pred, torch.tensor([5]), torch.tensor([0.2])).item() == pytest.approx(0, abs=1e-6)


def test_only_the_residual_of_the_annotated_bin_counts():
    pred = torch.zeros(1, 24)
    pred[0, 12:] = 9.0
    pred[0, 12 + 5] = 0.5
    loss = heading_bin_loss(pred, torch.tensor([5]), torch.tensor([0.25]))
    assert loss.item() == pytest.approx(math.log(12) + 0.25)


def test_gradient(headings):
    pred, *targets = headings
    assert torch.autograd.gradcheck(lambda p: heading_bin_loss(p, *targets), (pred.requires_grad_(),))


def test_module_equals_function_times_weight(headings):
    assert HeadingBinLoss(loss_weight=3.0)(*headings).item() == 3 * heading_bin_loss(*headings).item()
    assert repr(HeadingBinLoss()) == 'HeadingBinLoss(loss_weight=1.0)'


def test_empty_mask_gives_zero_whatever_lies_outside():
    pred = torch.full((1, 2, 24), float('nan'), requires_grad=True)
    bins, mask = torch.full((1, 2), 77), torch.zeros(1, 2, dtype=torch.bool)
    loss = heading_bin_loss(pred, bins, torch.zeros(1, 2), mask)
    loss.backward()
    assert loss.item() == 0.0
    assert pred.grad.abs().max() == 0


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_predictions_are_computed_in_float32(headings, dtype):
    pred, bins, residual, mask = headings
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = heading_bin_loss(pred.to(dtype), bins, residual.float(), mask)
    assert loss.dtype == torch.float32
    assert loss == heading_bin_loss(pred.to(dtype).float(), bins, residual.float(), mask)


def test_wrong_shapes_are_reported():
    with pytest.raises(ShapeError, match='25 channels; expected an even number'):
        heading_bin_loss(torch.zeros(1, 25), torch.tensor([0]), torch.zeros(1))
    with pytest.raises(ShapeError, match=r'target_residual has shape \(1, 1\), expected \(1,\)'):
        heading_bin_loss(torch.zeros(1, 24), torch.tensor([0]), torch.zeros(1, 1))
    with pytest.raises(ShapeError, match='target_bin has shape'):
        heading_bin_loss(torch.zeros(2, 24), torch.tensor([0]), torch.zeros(2))

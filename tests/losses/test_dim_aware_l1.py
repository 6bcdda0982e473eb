from __future__ import annotations

import pytest
import torch

from mono_distill.losses import DimAwareL1Loss, dim_aware_l1_loss
from mono_distill.utils.errors import ShapeError


@pytest.fixture
def sizes():
    generator = torch.Generator().manual_seed(5)
    pred, target = (torch.rand(2, 4, 3, generator=generator, dtype=torch.float64) * 3 + 0.5 for _ in range(2))
    mask = torch.tensor([[True, True, False, True], [False, True, False, True]])
    return pred, torch.where(mask.unsqueeze(-1), target, 0.0), mask


def test_monodle_size_loss_of_the_official_code(golden):
    file = golden('monodle_base_loss')
    maps = torch.from_numpy(file['out_size_3d']).double().requires_grad_()
    indices, mask = torch.from_numpy(file['tgt_indices']), torch.from_numpy(file['tgt_mask_3d'])
    pred = maps.flatten(2).gather(2, indices[:, None].expand(-1, 3, -1)).transpose(1, 2)
    loss = dim_aware_l1_loss(pred, torch.from_numpy(file['tgt_size_3d']).double(), mask)
    loss.backward()
    assert loss.item() == pytest.approx(float(file['term_size3d_f64']), rel=1e-7)
    torch.testing.assert_close(maps.grad.float(), torch.from_numpy(file['grad_size_3d_f64']), rtol=1e-6, atol=1e-9)


def test_value_is_that_of_the_mean_l1_error(sizes):
    pred, target, mask = sizes
    assert dim_aware_l1_loss(pred, target, mask).item() == pytest.approx((pred - target)[mask].abs().mean().item())


def test_gradient_is_inversely_proportional_to_the_dimension(sizes):
    pred, target, mask = sizes
    pred.requires_grad_()
    dim_aware_l1_loss(pred, target, mask).backward()
    strength = (pred.grad.abs() * target)[mask]
    torch.testing.assert_close(strength, strength[:1, :1].expand_as(strength))
    assert pred.grad[~mask].abs().max() == 0


def test_gradient_with_the_compensation_held_fixed(sizes):
    pred, target, mask = sizes
    pred.requires_grad_()
    loss = dim_aware_l1_loss(pred, target, mask)
    (gradient,) = torch.autograd.grad(loss, pred)
    relative = ((pred[mask] - target[mask]).abs() / target[mask]).mean()
    (expected,) = torch.autograd.grad(relative * (loss / relative).detach(), pred)
    torch.testing.assert_close(gradient, expected)


def test_exact_predictions_give_zero_where_the_official_code_gives_nan():
    pred = torch.full((1, 2, 3), 2.0, requires_grad=True)
    loss = dim_aware_l1_loss(pred, torch.full((1, 2, 3), 2.0))
    loss.backward()
    assert loss.item() == 0.0
    assert pred.grad.abs().max() == 0


def test_empty_mask_gives_zero_with_zero_gradient():
    pred = torch.ones(1, 2, 3, requires_grad=True)
    loss = dim_aware_l1_loss(pred, torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert pred.grad.abs().max() == 0


def test_module_equals_function_times_weight(sizes):
    assert DimAwareL1Loss(loss_weight=2.0)(*sizes).item() == 2 * dim_aware_l1_loss(*sizes).item()
    assert repr(DimAwareL1Loss()) == 'DimAwareL1Loss(loss_weight=1.0)'


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_predictions_are_computed_in_float32(sizes, dtype):
    pred, target, mask = sizes
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = dim_aware_l1_loss(pred.to(dtype), target.float(), mask)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, dim_aware_l1_loss(pred.to(dtype).float(), target.float(), mask))


def test_wrong_shapes_are_reported():
    with pytest.raises(ShapeError, match=r'target has shape \(2, 3\), expected \(4, 3\)'):
        dim_aware_l1_loss(torch.zeros(4, 3), torch.zeros(2, 3))
    with pytest.raises(ShapeError, match=r'mask has shape \(4, 3\), expected \(4,\)'):
        dim_aware_l1_loss(torch.zeros(4, 3), torch.zeros(4, 3), torch.ones(4, 3, dtype=torch.bool))

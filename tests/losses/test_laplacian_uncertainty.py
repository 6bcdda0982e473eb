from __future__ import annotations

import math

import pytest
import torch

from mono_distill.losses import LaplacianUncertaintyLoss, laplacian_uncertainty_loss
from mono_distill.utils.errors import ConfigError, ShapeError


@pytest.fixture
def depths():
    generator = torch.Generator().manual_seed(3)
    pred, log_scale, target = (torch.randn(2, 5, generator=generator, dtype=torch.float64) for _ in range(3))
    mask = torch.tensor([[True, True, False, True, False], [False, True, True, False, True]])
    return pred * 10 + 30, log_scale, target * 10 + 30, mask


def test_monodle_depth_loss_of_the_official_code(golden):
    file = golden('monodle_base_loss')
    maps = torch.from_numpy(file['out_depth']).double().requires_grad_()
    indices, mask = torch.from_numpy(file['tgt_indices']), torch.from_numpy(file['tgt_mask_2d'])
    raw, log_scale = maps.flatten(2).gather(2, indices[:, None].expand(-1, 2, -1)).unbind(1)
    target = torch.from_numpy(file['tgt_depth']).double().squeeze(-1)
    loss = laplacian_uncertainty_loss(1 / (raw.sigmoid() + 1e-6) - 1, log_scale, target, mask)
    loss.backward()
    assert loss.item() == pytest.approx(float(file['term_depth_f64']), rel=1e-7)
    torch.testing.assert_close(maps.grad.float(), torch.from_numpy(file['grad_depth_f64']), rtol=1e-6, atol=1e-9)


def test_scale_form_is_the_laplace_likelihood():
    loss = laplacian_uncertainty_loss(torch.tensor([12.0]), torch.tensor([math.log(4.0)]), torch.tensor([10.0]))
    assert loss.item() == pytest.approx(1.4142 / 4 * 2 + math.log(4.0))


def test_variance_form_reads_twice_the_log_scale(depths):
    pred, log_scale, target, mask = depths
    scale = laplacian_uncertainty_loss(pred, log_scale, target, mask, param='scale')
    variance = laplacian_uncertainty_loss(pred, 2 * log_scale, target, mask, param='variance')
    torch.testing.assert_close(scale, variance)


@pytest.mark.parametrize('param', ['scale', 'variance'])
def test_gradient(depths, param):
    pred, log_scale, target, mask = depths
    pred.requires_grad_()
    log_scale.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p, s: laplacian_uncertainty_loss(p, s, target, mask, param=param), (pred, log_scale)
    )


def test_module_equals_function_times_weight(depths):
    module = LaplacianUncertaintyLoss('variance', loss_weight=0.5)
    assert module(*depths).item() == 0.5 * laplacian_uncertainty_loss(*depths, param='variance').item()
    assert repr(module) == "LaplacianUncertaintyLoss(param='variance', loss_weight=0.5)"


def test_empty_mask_gives_zero_even_where_the_exponential_overflows():
    pred = torch.ones(1, 2, requires_grad=True)
    log_scale = torch.full((1, 2), -200.0, requires_grad=True)
    loss = laplacian_uncertainty_loss(pred, log_scale, torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert pred.grad.tolist() == log_scale.grad.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_computed_in_float32(depths, dtype):
    pred, log_scale, target, mask = depths
    half = pred.to(dtype), log_scale.to(dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = laplacian_uncertainty_loss(*half, target.float(), mask)
    assert loss.dtype == torch.float32
    assert loss == laplacian_uncertainty_loss(*(t.float() for t in half), target.float(), mask)


def test_wrong_shapes_and_names_are_reported():
    with pytest.raises(ShapeError, match=r'log_uncertainty has shape \(2,\), expected \(3,\)'):
        laplacian_uncertainty_loss(torch.zeros(3), torch.zeros(2), torch.zeros(3))
    with pytest.raises(ShapeError, match=r'mask has shape'):
        laplacian_uncertainty_loss(torch.zeros(3), torch.zeros(3), torch.zeros(3), torch.ones(2, dtype=torch.bool))
    with pytest.raises(ConfigError, match="did you mean 'scale'"):
        LaplacianUncertaintyLoss('scal')
    with pytest.raises(ConfigError, match='Known: scale, variance'):
        laplacian_uncertainty_loss(torch.zeros(3), torch.zeros(3), torch.zeros(3), param='sigma')

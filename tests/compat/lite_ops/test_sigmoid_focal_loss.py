"""Sigmoid focal loss: against mmdet's own form for the CPU, and its derivative against autograd."""

from __future__ import annotations

import pytest
import torch

from mono_distill.compat.lite_ops.sigmoid_focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward

NO_WEIGHT = torch.empty(0)


def random_case() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of 4 classes, and labels of which the last is background."""
    return 3 * torch.randn(40, 4, dtype=torch.float64), torch.arange(40) % 5


def forward(logits, target, weight=NO_WEIGHT, gamma=2.0, alpha=0.25):
    output = torch.zeros_like(logits)
    sigmoid_focal_loss_forward(logits, target, weight, output, gamma=gamma, alpha=alpha)
    return output


@pytest.mark.parametrize(('gamma', 'alpha'), [(2.0, 0.25), (0.0, 0.5), (1.5, 0.9)])
def test_equals_the_form_of_mmdet(gamma, alpha):
    from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

    logits, target = random_case()
    one_hot = torch.nn.functional.one_hot(target, 5)[:, :4]
    expected = py_sigmoid_focal_loss(logits, one_hot, gamma=gamma, alpha=alpha, reduction='none')
    torch.testing.assert_close(forward(logits, target, gamma=gamma, alpha=alpha), expected)


def test_derivative_is_that_of_the_loss():
    logits, target = random_case()
    derivative = torch.zeros_like(logits)
    sigmoid_focal_loss_backward(logits, target, NO_WEIGHT, derivative, gamma=2.0, alpha=0.25)
    step = 1e-6
    numeric = (forward(logits + step, target) - forward(logits - step, target)) / (2 * step)
    torch.testing.assert_close(derivative, numeric, rtol=1e-6, atol=1e-8)


def test_class_weights_weigh_the_boxes_of_their_class():
    logits, target = random_case()
    weight = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)
    ratio = forward(logits, target, weight) / forward(logits, target)
    expected = torch.tensor([1.0, 2, 3, 4, 1], dtype=torch.float64)[target][:, None].expand_as(ratio)
    torch.testing.assert_close(ratio, expected)


def test_extreme_logits_give_finite_losses():
    logits = torch.tensor([[200.0, -200.0]])
    for label in (0, 1, 2):
        target = torch.tensor([label])
        derivative = torch.zeros_like(logits)
        sigmoid_focal_loss_backward(logits, target, NO_WEIGHT, derivative, gamma=2.0, alpha=0.25)
        assert forward(logits, target).isfinite().all()
        assert derivative.isfinite().all()


def test_no_boxes():
    assert forward(torch.empty(0, 4), torch.empty(0, dtype=torch.long)).shape == (0, 4)

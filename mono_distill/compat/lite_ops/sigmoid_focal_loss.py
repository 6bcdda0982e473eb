"""Sigmoid focal loss (Lin et al., arXiv:1708.02002, eq. 5), in pure PyTorch.

On the CPU mmdet has its own form; on a GPU it calls the compiled op, for which these two stand in.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def _focal_loss(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Return the loss (N, C) of each box and class; a target of C or above is background."""
    classes = torch.arange(logits.size(1), device=logits.device)
    positive = target[:, None] == classes
    probability = logits.sigmoid()
    hit = -alpha * (1 - probability) ** gamma * F.logsigmoid(logits)
    miss = -(1 - alpha) * probability**gamma * F.logsigmoid(-logits)
    loss = torch.where(positive, hit, miss)
    if weight.numel():
        in_range = target.clamp(max=len(weight) - 1)
        loss = loss * torch.where(target < len(weight), weight[in_range], 1)[:, None]
    return loss


@torch.no_grad()
def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the loss of each box and class; the form of ``mmcv._ext.sigmoid_focal_loss_forward``.

    Args:
        input: (N, C) logits.
        target: (N,) int64 labels; C is background.
        weight: (C,) weight of each label, or empty.
        output: (N, C), receives the loss.
        gamma: Focusing exponent.
        alpha: Weight of the positives.
    """
    output.copy_(_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of each loss by its logit; the form of ``mmcv._ext.sigmoid_focal_loss_backward``.

    Args:
        input: (N, C) logits.
        target: (N,) int64 labels; C is background.
        weight: (C,) weight of each label, or empty.
        grad_input: (N, C), receives the derivative.
        gamma: Focusing exponent.
        alpha: Weight of the positives.
    """
    logits = input.detach().requires_grad_()
    with torch.enable_grad():
        total = _focal_loss(logits, target, weight, gamma, alpha).sum()
    grad_input.copy_(torch.autograd.grad(total, logits)[0])

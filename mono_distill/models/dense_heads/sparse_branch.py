"""A dense branch evaluated at a few cells only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def run_at_cells(branch: nn.Sequential, feat: Tensor, indices: Tensor) -> Tensor:
    """Return what ``gather_at(branch(feat), indices)`` would, without computing the other cells.

    A loss that reads a map at the objects alone needs no more than that, forward and backward: a convolution of 30,000
    cells becomes one of as many as there are objects.

    Args:
        branch: conv3x3 (padding 1), ReLU, conv1x1.
        feat: Map ``(B, C, H, W)``.
        indices: ``y * W + x``, ``(B, N)``, int64.

    Returns:
        ``(B, N, channels)``.

    Example:
        >>> branch = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))
        >>> run_at_cells(branch, torch.ones(1, 2, 5, 6), torch.tensor([[0, 29]])).shape
        torch.Size([1, 2, 3])
    """
    conv: Any = branch[0]
    last: Any = branch[2]
    channels, width = feat.shape[1], feat.shape[3]
    corner = (indices // width) * (width + 2) + indices % width
    steps = torch.arange(3, device=feat.device)
    window = (steps.unsqueeze(1) * (width + 2) + steps).flatten()
    positions = (corner.unsqueeze(-1) + window).flatten(1)
    patches = F.pad(feat, (1, 1, 1, 1)).flatten(2).gather(2, positions.unsqueeze(1).expand(-1, channels, -1))
    patches = patches.unflatten(2, (-1, len(window))).transpose(1, 2).flatten(2)
    hidden = F.relu(F.linear(patches, conv.weight.flatten(1), conv.bias))
    return F.linear(hidden, last.weight.flatten(1), last.bias)

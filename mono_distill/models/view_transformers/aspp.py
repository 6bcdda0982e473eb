"""Atrous spatial pyramid pooling (DeepLab v3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mono_distill.models.monotakd.norm import PooledBatchNorm2d


class ASPP(nn.Module):
    """Convolutions of several reaches and a view of the whole map, side by side, merged by a 1x1 convolution.

    Args:
        channels: Channels in, inside of each branch, and out.
        dilations: Of the branches; the first is a 1x1 convolution, the others are 3x3.
        dropout: Rate of the dropout behind the merge.

    Example:
        >>> ASPP(8)(torch.zeros(1, 8, 4, 6)).shape
        torch.Size([1, 8, 4, 6])
    """

    def __init__(self, channels: int, dilations: Sequence[int] = (1, 6, 12, 18), dropout: float = 0.5) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            _branch(channels, kernel_size=1 if index == 0 else 3, dilation=dilation)
            for index, dilation in enumerate(dilations)
        )
        # With one image per process a globally pooled channel is a single number, which batch norm refuses.
        self.whole = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels, 1, bias=False),
            PooledBatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        self.merge = nn.Sequential(
            nn.Conv2d(channels * (len(dilations) + 1), channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Refine ``(B, channels, h, w)``."""
        parts = [branch(x) for branch in self.branches]
        parts.append(self.whole(x).expand_as(x))
        out: Tensor = self.merge(torch.cat(parts, 1))
        return out


def _branch(channels: int, *, kernel_size: int, dilation: int) -> nn.Sequential:
    padding = dilation * (kernel_size // 2)
    conv = nn.Conv2d(channels, channels, kernel_size, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))

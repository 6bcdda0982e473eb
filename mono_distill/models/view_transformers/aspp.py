"""Atrous spatial pyramid pooling (DeepLab v3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


class WideConv2d(nn.Conv2d):
    """Dilated 3x3 convolution that leaves out taps which can only fall on the padding; the result is the same.

    On a map of 16 rows a dilation of 18 reads one row: a third of the work.

    Args:
        channels: Channels in and out.
        dilation: Distance of the taps, and padding.

    Example:
        >>> WideConv2d(2, dilation=18)(torch.zeros(1, 2, 16, 44)).shape
        torch.Size([1, 2, 16, 44])
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(B, channels, h, w)``."""
        weight, reach = self.weight, list(self.dilation)
        padding = reach.copy()
        for axis in (0, 1):
            if reach[axis] >= x.shape[2 + axis]:
                weight = weight.narrow(2 + axis, 1, 1)
                padding[axis] = 0
        return F.conv2d(x, weight, padding=padding, dilation=reach)


def _branch(channels: int, *, kernel_size: int, dilation: int) -> nn.Sequential:
    conv = nn.Conv2d(channels, channels, 1, bias=False) if kernel_size == 1 else WideConv2d(channels, dilation)
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))

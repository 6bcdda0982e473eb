"""Depth classification per pixel (DeepLab v3 head, as in CaDDN, CMKD and MonoTAKD)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mono_distill.models.monotakd.norm import norm2d, pooled_norm2d
from mono_distill.registry import MODELS


@MODELS.register_module()
class DeepLabDepthHead(nn.Module):
    """Atrous pyramid, 3x3 and 1x1 convolution: logits of the depth bins and of "no depth".

    The layers are those of torchvision's DeepLab head, which the official code takes: 1x1, three dilated 3x3 and an
    image-pooling branch, each with norm and ReLU, joined by a 1x1 convolution with dropout.

    Args:
        in_channels: Channels of the image features (the last stage).
        bins: Depth bins D.
        channels: Width of every branch.
        dilations: Of the 3x3 branches.
        dropout: Behind the pyramid.
        norm_groups: ``None`` for batch norm, or the groups of a group norm, for training with one image per process.

    Example:
        >>> DeepLabDepthHead(8, 4, 8)(torch.zeros(2, 8, 3, 5)).shape
        torch.Size([2, 5, 3, 5])
    """

    def __init__(
        self,
        in_channels: int = 2048,
        bins: int = 120,
        channels: int = 256,
        *,
        dilations: Sequence[int] = (12, 24, 36),
        dropout: float = 0.5,
        norm_groups: int | None = None,
    ) -> None:
        super().__init__()
        self.bins = bins
        self.branches = nn.ModuleList([_conv(in_channels, channels, norm_groups, 1)])
        self.branches.extend(_conv(in_channels, channels, norm_groups, 3, dilation) for dilation in dilations)
        self.pooled = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False), pooled_norm2d(channels, norm_groups), nn.ReLU(inplace=True)
        )
        joined = channels * (len(dilations) + 2)
        self.project = nn.Sequential(*_conv(joined, channels, norm_groups, 1), nn.Dropout(dropout))
        self.conv = _conv(channels, channels, norm_groups, 3)
        self.classify = nn.Conv2d(channels, bins + 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Classify the depth of every place.

        Args:
            features: ``(B, in_channels, h, w)``.

        Returns:
            Logits ``(B, D + 1, h, w)``; the last is "no depth, or outside of the range".
        """
        whole = self.pooled(features.mean((2, 3), keepdim=True)).expand(-1, -1, *features.shape[2:])
        pyramid = self.project(torch.cat([*(branch(features) for branch in self.branches), whole], 1))
        logits: Tensor = self.classify(self.conv(pyramid))
        return logits


def _conv(in_channels: int, channels: int, groups: int | None, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(in_channels, channels, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(conv, norm2d(channels, groups), nn.ReLU(inplace=True))

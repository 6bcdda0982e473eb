"""Deformable convolution with groups of channels that share their offsets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mono_distill.models.monotakd.deform_conv import deform_conv2d
from mono_distill.utils.errors import ConfigError


class GroupedDeformConv2d(nn.Module):
    """3x3 deformable convolution (v1), the last layer of BEVDepth's depth network, in plain PyTorch.

    mmcv's ``DeformConv2dPack`` with one deformable group, on any device and for any number of images: mmcv's takes the
    images in blocks of ``im2col_step`` and fails when their number is larger and no multiple of it (132 images with the
    official 128).

    Args:
        channels: Channels in and out.
        groups: Groups of the convolution; all read at the same places.

    Raises:
        ConfigError: The groups do not divide the channels.

    Example:
        >>> GroupedDeformConv2d(8, groups=4)(torch.zeros(2, 8, 5, 6)).shape
        torch.Size([2, 8, 5, 6])
    """

    def __init__(self, channels: int, groups: int = 1) -> None:
        super().__init__()
        if groups < 1 or channels % groups:
            raise ConfigError(f'GroupedDeformConv2d: {groups} groups do not divide {channels} channels.')
        self.groups = groups
        # Starts as an ordinary convolution.
        self.conv_offset = nn.Conv2d(channels, 18, 3, padding=1)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False)
        self.init_offsets()

    def init_offsets(self) -> None:
        """Set all offsets to zero."""
        nn.init.zeros_(self.conv_offset.weight)
        if self.conv_offset.bias is not None:
            nn.init.zeros_(self.conv_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(B, channels, h, w)``."""
        offset = self.conv_offset(x)
        parts = zip(x.chunk(self.groups, 1), self.conv.weight.chunk(self.groups, 0), strict=True)
        return torch.cat([deform_conv2d(part, offset, weight) for part, weight in parts], 1)

"""ResNet on bird's-eye-view maps."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from mmdet.models.backbones.resnet import BasicBlock
from mmdet.models.layers import ResLayer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mono_distill.ops.conv_order import conv_order
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError


@MODELS.register_module()
class BEVResNet(BaseModule):
    """BEVDepth's trunk on the pooled map: a ResNet of basic blocks without max pooling, the map itself kept as a level.

    The default is the official trunk (ResNet-18 of width 160 with three stages); parameters are named as in mmdet's
    ResNet. BEVDet's has no stem (``stem_stride=None, keep_input=False``), strides (2, 2, 2) and ``base_channels`` twice
    the channels of the map.

    Args:
        in_channels: Channels of the map, or of the maps of all frames together.
        base_channels: Channels of the first stage; each further stage doubles them.
        num_blocks: Basic blocks of each stage.
        strides: Of the stages.
        stem_stride: Stride of the 7x7 convolution in front, or ``None`` for none.
        keep_input: Whether the map itself is the first of the levels.
        zero_init_residual: Blocks start as the identity.
        init_cfg: See mmengine.

    Raises:
        ConfigError: Blocks and strides are not of the same number.

    Example:
        >>> import torch
        >>> trunk = BEVResNet(8, base_channels=16, num_blocks=(1, 1), strides=(1, 2))
        >>> [tuple(level.shape) for level in trunk(torch.zeros(1, 8, 16, 16))]
        [(1, 8, 16, 16), (1, 16, 8, 8), (1, 32, 4, 4)]
    """

    def __init__(
        self,
        in_channels: int = 80,
        *,
        base_channels: int = 160,
        num_blocks: Sequence[int] = (2, 2, 2),
        strides: Sequence[int] = (1, 2, 2),
        stem_stride: int | None = 2,
        keep_input: bool = True,
        zero_init_residual: bool = True,
        init_cfg: Any = None,
    ) -> None:
        if not len(num_blocks) == len(strides) > 0:
            raise ConfigError(
                f'BEVResNet: one stride for each stage; got num_blocks={tuple(num_blocks)}, strides={tuple(strides)}.'
            )
        if init_cfg is None:
            init_cfg = [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
            ]
        super().__init__(init_cfg=init_cfg)
        self.in_channels = in_channels
        self.keep_input = keep_input
        self.has_stem = stem_stride is not None
        self.total_stride = prod(strides) * (stem_stride or 1)
        channels = in_channels
        if stem_stride is not None:
            channels = base_channels
            self.conv1 = nn.Conv2d(in_channels, channels, 7, stride=stem_stride, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(channels)
            self.relu = nn.ReLU(inplace=True)
        block_init = dict(type='Constant', val=0, override=dict(name='norm2')) if zero_init_residual else None
        self.stages: list[str] = []
        for index, (blocks, stride) in enumerate(zip(num_blocks, strides, strict=True)):
            planes = base_channels * 2**index
            layer = ResLayer(BasicBlock, channels, planes, blocks, stride=stride, init_cfg=block_init)
            self.stages.append(f'layer{index + 1}')
            self.add_module(self.stages[-1], layer)
            channels = planes

    def forward(self, bev: Tensor) -> list[Tensor]:
        """Return the map itself, if it is kept, and the output of each stage, fine to coarse.

        Args:
            bev: ``(B, in_channels, H, W)``.

        Raises:
            ShapeError: The channels are others, or H or W is no multiple of the total stride.
        """
        stride = self.total_stride
        if bev.dim() != 4 or bev.shape[1] != self.in_channels or bev.shape[2] % stride or bev.shape[3] % stride:
            raise ShapeError(
                f'BEVResNet: expected (B, {self.in_channels}, H, W) with H and W multiples of {stride}, got '
                f'{tuple(bev.shape)}.'
            )
        levels = [bev] if self.keep_input else []
        # Pooled maps have the channels last.
        x = conv_order(bev)
        x = self.relu(self.bn1(self.conv1(x))) if self.has_stem else x
        for name in self.stages:
            x = getattr(self, name)(x)
            levels.append(x)
        return levels

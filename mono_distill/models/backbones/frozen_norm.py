"""Convolutions that take a frozen batch norm into their weights."""

from __future__ import annotations

from typing import Any

from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn
from torch.nn import functional

from mono_distill.models.watched import is_watched


def conv_norm(conv: Any, norm: Any, x: Tensor) -> Tensor:
    """Apply a convolution and its batch norm, as one convolution where the norm is frozen.

    A norm in inference mode whose parameters are not trained is a fixed scale and shift per channel:
    ``norm(conv(x)) = conv'(x)`` with the scaled weights and a bias. That saves a pass over the map in either direction
    and the copy of the map that the norm's backward pass would read.

    Args:
        conv: The convolution.
        norm: Its norm.
        x: (B, C, H, W).

    Example:
        >>> import torch
        >>> conv, norm = nn.Conv2d(3, 8, 1, bias=False), nn.BatchNorm2d(8).eval().requires_grad_(False)
        >>> x = torch.rand(1, 3, 4, 4)
        >>> torch.allclose(conv_norm(conv, norm, x), norm(conv(x)), atol=1e-6)
        True
    """
    if not can_fold(conv, norm):
        out: Tensor = norm(conv(x))
        return out
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    bias = norm.bias - norm.running_mean * scale
    if conv.bias is not None:
        bias = bias + conv.bias * scale
    weight = conv.weight * scale.view(-1, 1, 1, 1)
    return functional.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


def can_fold(conv: Any, norm: Any) -> bool:
    """Whether a norm is a plain batch norm that is frozen, and nobody watches either module run."""
    return folds_at_inference(conv, norm) and not (norm.weight.requires_grad or norm.bias.requires_grad)


def folds_at_inference(conv: Any, norm: Any) -> bool:
    """As :func:`can_fold`, where no gradient is asked for: the parameters may be trained at other times."""
    if type(conv) is not nn.Conv2d or type(norm) is not nn.BatchNorm2d or conv.padding_mode != 'zeros':
        return False
    if norm.training or norm.running_var is None or norm.weight is None:
        return False
    return not (is_watched(conv) or is_watched(norm))


class FoldingBasicBlock(BasicBlock):
    """mmdet's block with :func:`conv_norm`."""

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        if self.with_cp:
            out: Tensor = super().forward(x)
            return out
        out = self.relu(conv_norm(self.conv1, self.norm1, x))
        out = conv_norm(self.conv2, self.norm2, out)
        return _joined(self, out, x)


class FoldingBottleneck(Bottleneck):
    """mmdet's block with :func:`conv_norm`."""

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        if self.with_cp or self.with_plugins:
            out: Tensor = super().forward(x)
            return out
        out = self.relu(conv_norm(self.conv1, self.norm1, x))
        out = self.relu(conv_norm(self.conv2, self.norm2, out))
        out = conv_norm(self.conv3, self.norm3, out)
        return _joined(self, out, x)


def _joined(block: Any, out: Tensor, x: Tensor) -> Tensor:
    layers = block.downsample
    if layers is not None:
        x = conv_norm(layers[0], layers[1], x) if len(layers) == 2 else layers(x)
    out += x
    joined: Tensor = block.relu(out)
    return joined

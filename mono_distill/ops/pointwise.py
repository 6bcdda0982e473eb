"""Linear maps of tokens in the faster of PyTorch's forms on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mono_distill.ops._compiled import on_host

# With fewer products the calls count, not what they compute.
_LEAST_PRODUCTS = 2**22


def linear(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``torch.nn.functional.linear``, on the CPU as a 1x1 convolution.

    PyTorch gives matrix products to MKL and convolutions to oneDNN, which is twice as fast on AMD processors with
    AVX-512. On one thread it would give 1x1 convolutions to MKL as well, unless they are dilated, which for a kernel of
    one tap means nothing.

    Args:
        values: (..., C).
        weight: (K, C).
        bias: (K,) or None.

    Returns:
        (..., K).

    Example:
        >>> values, layer = torch.rand(1, 1000, 128), nn.Linear(128, 8)
        >>> torch.allclose(linear(values, layer.weight, layer.bias), layer(values), atol=1e-6)
        True
    """
    small = values.numel() * len(weight) < _LEAST_PRODUCTS
    if small or values.dtype != torch.float32 or not on_host(values):
        return functional.linear(values, weight, bias)
    # Tokens as the pixels of an image in channels-last layout.
    image = values.reshape(1, -1, 1, values.shape[-1]).permute(0, 3, 1, 2)
    mapped = functional.conv2d(image, weight[:, :, None, None], bias, dilation=2)
    return mapped.permute(0, 2, 3, 1).reshape(*values.shape[:-1], len(weight))


class Linear(nn.Linear):
    """``torch.nn.Linear`` by :func:`linear`."""

    def forward(self, values: Tensor) -> Tensor:
        """Map the last dimension."""
        return linear(values, self.weight, self.bias)


def use_fast_linear(model: nn.Module) -> None:
    """Let every ``torch.nn.Linear`` of a model be a :class:`Linear`; parameters and their names stay.

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 4), nn.ReLU())
        >>> use_fast_linear(model)
        >>> type(model[0]).__module__
        'mono_distill.ops.pointwise'
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.__class__ = Linear

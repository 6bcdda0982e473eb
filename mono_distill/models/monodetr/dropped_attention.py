"""Attention with dropout on a CPU, some heads at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Weights at work at a time: 16 MiB in single precision, little enough that the allocator uses the same memory again.
CHUNK = 2**22


def dropped_attention(query: Tensor, key: Tensor, value: Tensor, rate: float) -> Tensor:
    r"""``scaled_dot_product_attention`` with dropout, without storing the weights.

    .. math:: O = \frac{M \odot \mathrm{softmax}(Q K^T / \sqrt C)}{1 - r} V, \qquad P(M_{ij} = 0) = r

    PyTorch has no such form for CPUs: with dropout it stores weights and masks of all heads. Here the backward pass
    computes them again. The rate is rounded to a multiple of :math:`2^{-16}`; gradients cannot be derived further.

    Args:
        query: (..., Q, C) in single or double precision, on the CPU.
        key: (..., K, C).
        value: (..., K, C).
        rate: Rate r at which weights are dropped, in [0, 1).

    Returns:
        (..., Q, C).

    Example:
        >>> dropped_attention(torch.zeros(2, 3, 8), torch.zeros(2, 5, 8), torch.ones(2, 5, 8), 0.0)[0, 0, 0]
        tensor(1.)
    """
    out: Tensor = _DroppedAttention.apply(*(x.flatten(0, -3) for x in (query, key, value)), round(rate * 2**16))
    return out.view(query.shape)


class _DroppedAttention(torch.autograd.Function):
    """:func:`dropped_attention` of heads (H, Q, C) and (H, K, C); ``share`` is the rate in 65536ths."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, share: int) -> Tensor:
        # Drawn from PyTorch's generator, so that ``torch.manual_seed`` settles the masks.
        ctx.share, ctx.seed = share, int(torch.randint(2**62, ()))
        generator = np.random.Generator(np.random.SFC64(ctx.seed))
        outputs = []
        for q, k, v in _chunks(query, key, value):
            weights, dropped = _weights(q, k, share, generator)
            outputs.append(weights.masked_fill_(dropped, 0.0) @ v)
        output = torch.cat(outputs).div_(1 - share / 2**16)
        ctx.save_for_backward(query, key, value, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, output = ctx.saved_tensors
        generator = np.random.Generator(np.random.SFC64(ctx.seed))
        # A row of the weights times the row of their slopes, summed.
        sums = (gradient * output).sum(-1, keepdim=True)
        slopes = []
        for q, k, v, g, s in _chunks(query, key, value, gradient / (1 - ctx.share / 2**16), sums):
            weights, dropped = _weights(q, k, ctx.share, generator)
            slope = (g @ v.transpose(1, 2)).masked_fill_(dropped, 0.0).sub_(s).mul_(weights).mul_(q.shape[-1] ** -0.5)
            value_slope = weights.masked_fill_(dropped, 0.0).transpose(1, 2) @ g
            slopes.append((slope @ k, slope.transpose(1, 2) @ q, value_slope))
        query_slope, key_slope, value_slope = (torch.cat(parts) for parts in zip(*slopes, strict=True))
        return query_slope, key_slope, value_slope, None


def _chunks(query: Tensor, key: Tensor, *others: Tensor) -> Any:
    size = max(1, CHUNK // (query.shape[1] * key.shape[1]))
    return zip(*(x.split(size) for x in (query, key, *others)), strict=True)


def _weights(query: Tensor, key: Tensor, share: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return the weights (H, Q, K) before dropout, and which of them are dropped."""
    weights = (query * query.shape[-1] ** -0.5 @ key.transpose(1, 2)).softmax(-1)
    words = generator.integers(2**64, size=-(-weights.numel() // 4), dtype=np.uint64)
    numbers = torch.from_numpy(words.view(np.int16)[: weights.numel()]).view(weights.shape)
    return weights, numbers < share - 2**15

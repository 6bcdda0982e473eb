"""Attention between all tokens that never returns its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mono_distill.models.monodetr.dropped_attention import dropped_attention
from mono_distill.ops._compiled import on_host
from mono_distill.ops.pointwise import linear


class Attention(nn.MultiheadAttention):
    """``torch.nn.MultiheadAttention`` (same parameters, same numbers) by ``scaled_dot_product_attention``.

    It takes no mask and returns no weights, so that they need not be stored. PyTorch has no such form for attention
    with dropout on a CPU; there it is :func:`mono_distill.models.monodetr.dropped_attention.dropped_attention`.

    Args:
        embed_dims: Channels C.
        num_heads: Heads.
        dropout: Rate at which attention weights are dropped.

    Example:
        >>> import torch
        >>> Attention(8, 2)(torch.zeros(1, 3, 8), torch.zeros(1, 5, 8), torch.zeros(1, 5, 8)).shape
        torch.Size([1, 3, 8])
    """

    def __init__(self, embed_dims: int, num_heads: int, *, dropout: float = 0.0) -> None:
        super().__init__(embed_dims, num_heads, dropout=dropout, batch_first=True)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # type: ignore[override]
        """Attend with queries (B, Q, C) to keys and values (B, K, C); returns (B, Q, C)."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            linear(x, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        rate = self.dropout if self.training else 0.0
        if rate and q.dtype in (torch.float32, torch.float64) and on_host(q):
            attended = dropped_attention(q, k, v, rate)
        else:
            attended = functional.scaled_dot_product_attention(q, k, v, dropout_p=rate)
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out

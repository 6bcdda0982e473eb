"""Attention between all tokens that never returns its weights."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from mono_distill.ops.dropout import dropout


class Attention(nn.MultiheadAttention):
    """``torch.nn.MultiheadAttention`` (same parameters, same numbers) in its fast forms.

    It takes no mask and returns no weights, so that ``scaled_dot_product_attention`` can work without storing them.
    That function has no such form on the CPU for attention with dropout; there the weights are stored, and dropped by
    :func:`mono_distill.ops.dropout.dropout`.

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
            functional.linear(x, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        rate = self.dropout if self.training else 0.0
        if rate and q.device.type == 'cpu':
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
            attended = dropout(scores.softmax(-1), rate).to(v.dtype) @ v
        else:
            attended = functional.scaled_dot_product_attention(q, k, v, dropout_p=rate)
        out: Tensor = self.out_proj(attended.transpose(1, 2).flatten(2))
        return out

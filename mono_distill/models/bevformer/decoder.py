"""Decoder of object queries that look at the bird's-eye view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmcv.cnn.bricks.transformer import FFN
from mmdet.models.layers import inverse_sigmoid
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32
from mono_distill.models.monodetr.attention import Attention
from mono_distill.models.monodetr.deformable_attention import DeformableAttention, Levels
from mono_distill.registry import MODELS

# Where the centre x, y, z is in the code of a box, see mono_distill.ops.box_code.
CENTER = (0, 1, 4)


class DecodedObjects(NamedTuple):
    """Queries after each of L layers.

    Attributes:
        hidden: (L, B, Q, C).
        codes: (L, B, Q, 10), box codes whose centre is a share of the range, 0 to 1.
    """

    hidden: Tensor
    codes: Tensor


class BEVQueryDecoderLayer(nn.Module):
    """Self-attention of the queries, deformable attention to the bird's-eye view, feed-forward; a norm after each.

    Args:
        embed_dims: Channels C.
        num_heads: Heads of both attentions.
        num_points: Samples of the deformable attention per head.
        feedforward_channels: Width of the feed-forward layer.
        dropout: Rate of all dropouts.
    """

    def __init__(
        self, embed_dims: int, num_heads: int, *, num_points: int, feedforward_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.self_attn = Attention(embed_dims, num_heads, dropout=dropout)
        self.cross_attn = DeformableAttention(embed_dims, num_heads, 1, num_points, dropout=dropout, batch_first=True)
        self.ffn = FFN(embed_dims, feedforward_channels, ffn_drop=dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(embed_dims) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, query: Tensor, query_pos: Tensor, *, references: Tensor, bev: Levels) -> Tensor:
        """Run the layer on queries (B, Q, C) with reference points (B, Q, 2) x, y in [0, 1]."""
        positioned = query + query_pos
        query = self.norms[0](query + self.dropout(self.self_attn(positioned, positioned, query)))
        query = self.norms[1](self.cross_attn(query, query_pos=query_pos, references=references, memory=bev))
        out: Tensor = self.norms[2](self.ffn(query))
        return out


@MODELS.register_module()
class BEVQueryDecoder(nn.Module):
    """Object queries with reference points; every layer moves the points of the one before.

    The gradient of a layer's boxes stays within the layer (Deformable DETR's iterative refinement), as in BEVFormer
    (``projects/mmdet3d_plugin/bevformer/modules/decoder.py``).

    Args:
        embed_dims: Channels C.
        num_queries: Queries Q; at most so many objects are found.
        num_layers: Layers L.
        num_heads: Heads of all attentions.
        num_points: Samples of the deformable attention per head.
        feedforward_channels: Width of the feed-forward layers.
        dropout: Rate of all dropouts.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        *,
        num_queries: int = 900,
        num_layers: int = 6,
        num_heads: int = 8,
        num_points: int = 4,
        feedforward_channels: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.num_queries = num_queries
        self.query_embedding = nn.Embedding(num_queries, 2 * embed_dims)
        self.reference_points = nn.Linear(embed_dims, 3)
        self.layers = nn.ModuleList(
            BEVQueryDecoderLayer(
                embed_dims,
                num_heads,
                num_points=num_points,
                feedforward_channels=feedforward_channels,
                dropout=dropout,
            )
            for _ in range(num_layers)
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Xavier weights, samples on rays, queries from N(0, 1)."""
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for module in self.layers.modules():
            if isinstance(module, DeformableAttention):
                module.init_weights()
        nn.init.normal_(self.query_embedding.weight)
        nn.init.xavier_uniform_(self.reference_points.weight)
        nn.init.zeros_(self.reference_points.bias)

    def forward(self, bev: Levels, bbox_branches: Sequence[nn.Module]) -> DecodedObjects:
        """Decode.

        Args:
            bev: The bird's-eye view as tokens (B, H * W, C) of one map.
            bbox_branches: One module per layer, from (B, Q, C) to the change (B, Q, 10) of the code.

        Returns:
            Queries and codes after every layer.
        """
        embedding = self.query_embedding.weight.expand(len(bev.tokens), -1, -1)
        query_pos, query = embedding.chunk(2, dim=-1)
        with torch.autocast(query.device.type, enabled=False):
            references = self.reference_points(as_float32(query_pos)).sigmoid()
        hidden, codes = [], []
        for layer, branch in zip(self.layers, bbox_branches, strict=True):
            query = layer(query, query_pos, references=references[..., :2].detach(), bev=bev)
            code = _refined(branch, query, references)
            hidden.append(query)
            codes.append(code)
            references = code[..., CENTER].detach()
        return DecodedObjects(torch.stack(hidden), torch.stack(codes))


def _refined(branch: nn.Module, query: Tensor, references: Tensor) -> Tensor:
    """Codes whose centre is the branch's output added to the references in logits."""
    with torch.autocast(query.device.type, enabled=False):
        change = branch(as_float32(query))
        center = (change[..., CENTER] + inverse_sigmoid(references, eps=1e-5)).sigmoid()
        return torch.cat([center[..., :2], change[..., 2:4], center[..., 2:], change[..., 5:]], dim=-1)

"""One layer of MonoDETR's depth-aware decoder."""

from __future__ import annotations

from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn

from mono_distill.models.monodetr.attention import Attention
from mono_distill.models.monodetr.deformable_attention import DeformableAttention, Levels
from mono_distill.ops.pointwise import linear


class DepthAwareDecoderLayer(nn.Module):
    """Depth attention, self-attention, deformable attention to the image, feed-forward; a norm after each.

    Queries of different groups do not see each other: self-attention runs on groups as on further images. Its values
    are the queries themselves, without a projection of their own: the official layer computes one and overwrites it
    (``sa_v_proj`` in ``depthaware_transformer.py``), so that it is left out here.

    Args:
        embed_dims: Channels C.
        num_heads: Heads of all attentions.
        num_levels: Maps of the image.
        num_points: Sampled cells per head and map.
        feedforward_channels: Width of the feed-forward layer.
        dropout: Rate of all dropouts.
        cond_self_attn: Whether the queries and keys of self-attention go through learned projections of "content" and
            "position" first. The official code feeds both projections with the sum of content and position. ``False``
            is the authors' advice for small memory, which is another model.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        num_heads: int = 8,
        *,
        num_levels: int = 4,
        num_points: int = 4,
        feedforward_channels: int = 256,
        dropout: float = 0.1,
        cond_self_attn: bool = True,
    ) -> None:
        super().__init__()
        self.cond_self_attn = cond_self_attn
        self.cross_attn_depth = Attention(embed_dims, num_heads, dropout=dropout)
        self.self_attn = Attention(embed_dims, num_heads, dropout=dropout)
        self.cross_attn = DeformableAttention(
            embed_dims, num_heads, num_levels, num_points, dropout=dropout, batch_first=True
        )
        if cond_self_attn:
            self.sa_qcontent_proj = nn.Linear(embed_dims, embed_dims)
            self.sa_qpos_proj = nn.Linear(embed_dims, embed_dims)
            self.sa_kcontent_proj = nn.Linear(embed_dims, embed_dims)
            self.sa_kpos_proj = nn.Linear(embed_dims, embed_dims)
        self.ffn = FFN(embed_dims, feedforward_channels, ffn_drop=dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(embed_dims) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor,
        *,
        depth_tokens: Tensor,
        memory: Levels,
        references: Tensor,
        num_groups: int,
    ) -> Tensor:
        """Run the layer.

        Args:
            query: (B, Q, C).
            query_pos: (B, Q, C).
            depth_tokens: (B, h * w, C), keys and values of the depth attention.
            memory: The encoded maps of the image.
            references: (B, Q, 2) points or (B, Q, 4) boxes, see :class:`DeformableAttention`.
            num_groups: Groups that the queries consist of, one after the other.

        Returns:
            (B, Q, C).
        """
        attended = self.cross_attn_depth(query, depth_tokens, depth_tokens)
        query = self.norms[0](query + self.dropout(attended))
        query = self.norms[1](query + self.dropout(self._attend_in_groups(query, query_pos, num_groups)))
        query = self.norms[2](self.cross_attn(query, query_pos=query_pos, references=references, memory=memory))
        out: Tensor = self.norms[3](self.ffn(query))
        return out

    def _attend_in_groups(self, query: Tensor, query_pos: Tensor, num_groups: int) -> Tensor:
        batch, queries, channels = query.shape
        grouped = (batch * num_groups, queries // num_groups, channels)
        positioned = query + query_pos
        q = self._projected(positioned, 'q') if self.cond_self_attn else positioned
        k = self._projected(positioned, 'k') if self.cond_self_attn else positioned
        q, k, v = (value.reshape(grouped) for value in (q, k, query))
        return self.self_attn(q, k, v).reshape(batch, queries, channels)

    def _projected(self, positioned: Tensor, which: str) -> Tensor:
        content, position = getattr(self, f'sa_{which}content_proj'), getattr(self, f'sa_{which}pos_proj')
        # Two linear maps of one input are one.
        return linear(positioned, content.weight + position.weight, content.bias + position.bias)

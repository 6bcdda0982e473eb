"""Attention of a bird's-eye view to itself and to that of the frame before."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32
from mono_distill.models.bevformer.sampling import cell_scale, init_offsets, init_projections, sample_maps
from mono_distill.models.monodetr.visual_encoder import cell_centers

# The frame before, and the current one.
_FRAMES = 2


class TemporalSelfAttention(nn.Module):
    r"""Deformable attention of every cell to the frame before and to the current queries.

    .. math:: o_p = W \, \frac{1}{2} \sum_{V \in \{B_{t-1}, Q_t\}} \sum_k a_{pk}^V \, V(p + \Delta_{pk}^V)

    Offsets and weights depend on both views at p (BEVFormer, ECCV 2022, section 3.4; the paper prints the sum, the
    released code takes the mean of the two, which is the same up to W). Both views must lie on the same grid: the frame
    before is given in the current frame.

    Args:
        embed_dims: Channels C.
        num_heads: Heads.
        num_points: Samples per head and view.
        dropout: Rate of the dropout behind it.
    """

    def __init__(self, embed_dims: int, num_heads: int, *, num_points: int = 4, dropout: float = 0.1) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_points = num_points
        samples = _FRAMES * num_heads * num_points
        self.value_proj = nn.Linear(embed_dims, embed_dims)
        self.sampling_offsets = nn.Linear(_FRAMES * embed_dims, 2 * samples)
        self.attention_weights = nn.Linear(_FRAMES * embed_dims, samples)
        self.output_proj = nn.Linear(embed_dims, embed_dims)
        self.dropout = nn.Dropout(dropout)
        self.init_weights()

    def init_weights(self) -> None:
        """Initialise as Deformable DETR does."""
        init_offsets(self.sampling_offsets, self.num_heads, _FRAMES, self.num_points)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        init_projections(self.value_proj, self.output_proj)

    def forward(self, query: Tensor, query_pos: Tensor, prev: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Attend.

        Args:
            query: (B, H * W, C).
            query_pos: (1, H * W, C) or (B, H * W, C), added to the query.
            prev: (B, H * W, C), the frame before on the same grid; without one the queries take its place.
            size: (H, W).

        Returns:
            (B, H * W, C) with the query added.
        """
        heads, points = self.num_heads, self.num_points
        with torch.autocast(query.device.type, enabled=False):
            query = as_float32(query)
            prev = query if prev is None else as_float32(prev)
            both = torch.cat([prev, query + as_float32(query_pos)], dim=-1)
            value = self.value_proj(torch.cat([prev, query], dim=1)).unflatten(-1, (heads, -1))
            offsets = self.sampling_offsets(both).unflatten(-1, (heads, _FRAMES, points, 2))
            weights = self.attention_weights(both).unflatten(-1, (heads, _FRAMES, points)).softmax(-1) / _FRAMES
            shapes = (size,) * _FRAMES
            centers = cell_centers((size,), like=query)[:, :, None, None, None]
            locations = centers + offsets * cell_scale(shapes, like=query)
            sampled = sample_maps(value, shapes, locations, weights)
            out: Tensor = query + self.dropout(self.output_proj(sampled))
        return out

"""Encoder of the image features of MonoDETR."""

from __future__ import annotations

import torch
from mmdet.models.layers import DeformableDetrTransformerEncoder
from mmdet.models.layers.transformer import DeformableDetrTransformerEncoderLayer
from mmengine.model import ModuleList
from torch import Tensor

from mono_distill.models.monodetr.deformable_attention import DeformableAttention, Levels, Shapes
from mono_distill.registry import MODELS


class VisualEncoderLayer(DeformableDetrTransformerEncoderLayer):
    """mmdet's layer with :class:`DeformableAttention`."""

    def _init_layers(self) -> None:
        super()._init_layers()
        self.self_attn = DeformableAttention(**self.self_attn_cfg)

    def forward(self, query: Tensor, query_pos: Tensor, *, references: Tensor, shapes: Shapes) -> Tensor:
        """Run the layer on tokens (B, N, C) of maps with these shapes."""
        memory = Levels(query, shapes)
        query = self.self_attn(query, query_pos=query_pos, references=references, memory=memory)
        out: Tensor = self.norms[1](self.ffn(self.norms[0](query)))
        return out


@MODELS.register_module()
class MonoDETREncoder(DeformableDetrTransformerEncoder):
    """The encoder of Deformable DETR for images without padding, with narrow feed-forward layers.

    Args:
        num_layers: Layers.
        embed_dims: Channels C of the tokens.
        num_heads: Heads of each attention.
        num_levels: Maps.
        num_points: Sampled cells per head and map.
        feedforward_channels: Width of the feed-forward layers.
        dropout: Rate of all dropouts.
    """

    def __init__(
        self,
        num_layers: int = 3,
        embed_dims: int = 256,
        *,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 4,
        feedforward_channels: int = 256,
        dropout: float = 0.1,
    ) -> None:
        attention = dict(
            embed_dims=embed_dims,
            num_heads=num_heads,
            num_levels=num_levels,
            num_points=num_points,
            dropout=dropout,
            batch_first=True,
        )
        feedforward = dict(embed_dims=embed_dims, feedforward_channels=feedforward_channels, ffn_drop=dropout)
        super().__init__(num_layers=num_layers, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=feedforward))

    def _init_layers(self) -> None:
        self.layers = ModuleList(VisualEncoderLayer(**self.layer_cfg) for _ in range(self.num_layers))
        self.embed_dims = self.layers[0].embed_dims

    def forward(self, levels: Levels, query_pos: Tensor) -> Levels:
        """Let the tokens of all maps attend to each other.

        Args:
            levels: The maps as tokens (B, N, C).
            query_pos: Encoding of position and level, (1, N, C) or (B, N, C).

        Returns:
            The encoded maps in the same form, the decoder's memory.
        """
        references = cell_centers(levels.shapes, like=query_pos)
        tokens = levels.tokens
        for layer in self.layers:
            tokens = layer(tokens, query_pos, references=references, shapes=levels.shapes)
        return Levels(tokens, levels.shapes)


def cell_centers(shapes: Shapes, *, like: Tensor) -> Tensor:
    """Return the centres x, y of all cells as shares of their map's width and height, (1, N, 2) float32.

    Example:
        >>> cell_centers(((1, 2),), like=torch.zeros(1))
        tensor([[[0.2500, 0.5000],
                 [0.7500, 0.5000]]])
    """
    centers = []
    for height, width in shapes:
        y = (torch.arange(height, device=like.device, dtype=torch.float32) + 0.5) / height
        x = (torch.arange(width, device=like.device, dtype=torch.float32) + 0.5) / width
        centers.append(torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1).view(-1, 2))
    return torch.cat(centers).unsqueeze(0)

"""MonoDETR's depth-aware decoder with iterative refinement of the boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.models.layers import inverse_sigmoid
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32
from mono_distill.models.monodetr.decoder_layer import DepthAwareDecoderLayer
from mono_distill.models.monodetr.deformable_attention import Levels
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


class DecodedQueries(NamedTuple):
    """Queries after each of L layers.

    Attributes:
        hidden: (L, B, Q, C).
        bboxes: (L, B, Q, 6), projected 3D centre x, y and the distances from it to the left, right, top and bottom
            side of the 2D box, as shares of the input's width and height.
    """

    hidden: Tensor
    bboxes: Tensor


@MODELS.register_module()
class DepthAwareDecoder(nn.Module):
    """Layers of :class:`DepthAwareDecoderLayer`; each refines the boxes of the one before.

    The box of a layer is where the next one looks; its gradient stays within its layer.

    Args:
        num_layers: Layers L.
        embed_dims: Channels C.
        num_heads: Heads of all attentions.
        num_levels: Maps of the image.
        num_points: Sampled cells per head and map.
        feedforward_channels: Width of the feed-forward layers.
        dropout: Rate of all dropouts.
        cond_self_attn: See :class:`DepthAwareDecoderLayer`.
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
        cond_self_attn: bool = True,
    ) -> None:
        super().__init__()
        self.embed_dims = embed_dims
        self.num_levels = num_levels
        self.layers = nn.ModuleList(
            DepthAwareDecoderLayer(
                embed_dims,
                num_heads,
                num_levels=num_levels,
                num_points=num_points,
                feedforward_channels=feedforward_channels,
                dropout=dropout,
                cond_self_attn=cond_self_attn,
            )
            for _ in range(num_layers)
        )

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor,
        *,
        points: Tensor,
        memory: Levels,
        depth_embed: Tensor,
        bbox_branches: Sequence[nn.Module],
        num_groups: int = 1,
    ) -> DecodedQueries:
        """Decode queries.

        Args:
            query: (B, Q, C) content.
            query_pos: (B, Q, C) position.
            points: (B, Q, 2) initial reference points x, y in [0, 1].
            memory: The encoded maps of the image.
            depth_embed: (B, C, h, w), tokens of the depth branch.
            bbox_branches: One module per layer, from (B, Q, C) to the change (B, Q, 6) of the box in logits.
            num_groups: Groups of equal size whose queries do not see each other.

        Returns:
            Queries and boxes after every layer.

        Raises:
            ShapeError: Q is no multiple of ``num_groups``.
        """
        if query.shape[1] % num_groups:
            raise ShapeError(
                f'DepthAwareDecoder: {query.shape[1]} queries cannot be split into {num_groups} groups of equal size.'
            )
        depth_tokens = depth_embed.flatten(2).transpose(1, 2)
        hidden, bboxes = [], []
        references = points
        for layer, branch in zip(self.layers, bbox_branches, strict=True):
            query = layer(
                query,
                query_pos,
                depth_tokens=depth_tokens,
                memory=memory,
                references=_points_or_boxes(references),
                num_groups=num_groups,
            )
            hidden.append(query)
            bboxes.append(_refined(branch, query, references))
            references = bboxes[-1].detach()
        return DecodedQueries(torch.stack(hidden), torch.stack(bboxes))


def _points_or_boxes(references: Tensor) -> Tensor:
    """Turn centres and four distances (B, Q, 6) into centres and sizes (B, Q, 4); points stay."""
    if references.shape[-1] == 2:
        return references
    center, left_top, right_bottom = references[..., :2], references[..., 2::2], references[..., 3::2]
    return torch.cat([center, left_top + right_bottom], dim=-1)


def _refined(branch: nn.Module, query: Tensor, references: Tensor) -> Tensor:
    """Add the branch's output to the references in logits: two entries of a point, six of a box."""
    with torch.autocast(query.device.type, enabled=False):
        change = branch(as_float32(query))
        known = references.shape[-1]
        start = inverse_sigmoid(references, eps=1e-5)
        logits = (
            change + start
            if known == change.shape[-1]
            else torch.cat([change[..., :known] + start, change[..., known:]], dim=-1)
        )
        return logits.sigmoid()

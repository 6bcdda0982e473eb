"""Encoder that reads the cameras of one frame into a bird's-eye view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmcv.cnn.bricks.transformer import FFN
from mmdet.models.layers import LearnedPositionalEncoding
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32
from mono_distill.models.bevformer.geometry import checked_range, lidar_to_image, pillar_points, view_pillars
from mono_distill.models.bevformer.spatial_attention import CameraPlan, SpatialCrossAttention, plan_cameras
from mono_distill.models.bevformer.temporal_attention import TemporalSelfAttention
from mono_distill.models.monodetr.deformable_attention import Levels, flatten_maps
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError


class BEVFormerLayer(nn.Module):
    """Temporal self-attention, spatial cross-attention, feed-forward; a norm after each.

    Args:
        embed_dims: Channels C.
        num_heads: Heads of both attentions.
        num_levels: Maps of an image.
        num_heights: Points of a pillar.
        num_points: Samples of the spatial attention per head and map.
        temporal_points: Samples of the temporal attention per head and view.
        feedforward_channels: Width of the feed-forward layer.
        dropout: Rate of all dropouts.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        *,
        num_levels: int,
        num_heights: int,
        num_points: int,
        temporal_points: int,
        feedforward_channels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.self_attn = TemporalSelfAttention(embed_dims, num_heads, num_points=temporal_points, dropout=dropout)
        self.cross_attn = SpatialCrossAttention(
            embed_dims,
            num_heads,
            num_levels=num_levels,
            num_heights=num_heights,
            num_points=num_points,
            dropout=dropout,
        )
        self.ffn = FFN(embed_dims, feedforward_channels, ffn_drop=dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(embed_dims) for _ in range(3))

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor,
        *,
        prev: Tensor | None,
        exists: Tensor,
        size: tuple[int, int],
        memory: Levels,
        plan: CameraPlan,
    ) -> Tensor:
        """Run the layer on queries (B, H * W, C); ``exists`` (B,) says where ``prev`` holds something."""
        if prev is not None:
            prev = torch.where(exists.view(-1, 1, 1), as_float32(prev), as_float32(query))
        query = self.norms[0](self.self_attn(query, query_pos, prev, size))
        query = self.norms[1](self.cross_attn(query, memory, plan))
        out: Tensor = self.norms[2](self.ffn(query))
        return out


@MODELS.register_module()
class BEVFormerEncoder(nn.Module):
    """Queries of a bird's-eye-view grid that look into all cameras and at the frame before.

    Row i and column j of the grid are a cell of the (augmented) LiDAR frame of the current key-frame, as in all BEV
    maps of this package, y along the rows and x along the columns. Past frames are encoded on that same grid, with the
    poses that their cameras had, seen from the current LiDAR frame: their bird's-eye view needs no rotation and no
    shift, which the official code applies to it (BEVFormer, ECCV 2022, section 3.4), and what lies at the border is
    there. There is no embedding of CAN-bus signals.

    Args:
        embed_dims: Channels C of everything.
        bev_size: Rows H and columns W.
        point_range: x, y, z of the lower and of the upper corner of the grid, in metres.
        num_layers: Layers.
        num_cameras: Cameras, in the order of the data.
        num_levels: Maps of an image.
        num_heads: Heads of all attentions.
        num_heights: Points of a pillar.
        num_points: Samples of the spatial attention per head and map, a multiple of ``num_heights``.
        temporal_points: Samples of the temporal attention per head and view.
        feedforward_channels: Width of the feed-forward layers.
        dropout: Rate of all dropouts.
        max_share: On a GPU, the share of the grid that one camera may see, see :func:`plan_cameras`. On nuScenes no
            camera sees more than a third.

    Raises:
        ConfigError: The range is empty or an option does not fit.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        *,
        bev_size: Sequence[int] = (128, 128),
        point_range: Sequence[float] = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0),
        num_layers: int = 3,
        num_cameras: int = 6,
        num_levels: int = 1,
        num_heads: int = 8,
        num_heights: int = 4,
        num_points: int = 8,
        temporal_points: int = 4,
        feedforward_channels: int = 512,
        dropout: float = 0.1,
        max_share: float | None = None,
    ) -> None:
        super().__init__()
        self.point_range = checked_range(point_range)
        if max_share is not None and not 0 < max_share <= 1:
            raise ConfigError(f'BEVFormerEncoder: max_share must be a share of the grid or None, got {max_share}.')
        self.bev_size = (int(bev_size[0]), int(bev_size[1]))
        self.embed_dims = embed_dims
        self.num_cameras, self.num_levels, self.num_heights = num_cameras, num_levels, num_heights
        self.max_share = max_share
        self.bev_embedding = nn.Parameter(torch.empty(self.bev_size[0] * self.bev_size[1], embed_dims))
        self.positional_encoding = LearnedPositionalEncoding(embed_dims // 2, *self.bev_size)
        self.camera_embed = nn.Parameter(torch.empty(num_cameras, embed_dims))
        self.level_embed = nn.Parameter(torch.empty(num_levels, embed_dims))
        self.layers = nn.ModuleList(
            BEVFormerLayer(
                embed_dims,
                num_heads,
                num_levels=num_levels,
                num_heights=num_heights,
                num_points=num_points,
                temporal_points=temporal_points,
                feedforward_channels=feedforward_channels,
                dropout=dropout,
            )
            for _ in range(num_layers)
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Xavier weights, queries and embeddings from N(0, 1), samples on rays, as the official code has them."""
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for module in self.layers.modules():
            if isinstance(module, (TemporalSelfAttention, SpatialCrossAttention)):
                module.init_weights()
        for embedding in (self.bev_embedding, self.camera_embed, self.level_embed):
            nn.init.normal_(embedding)
        nn.init.uniform_(self.positional_encoding.row_embed.weight)
        nn.init.uniform_(self.positional_encoding.col_embed.weight)

    def forward(
        self,
        maps: Sequence[Tensor],
        matrices: Mapping[str, Tensor],
        image_size: tuple[int, int],
        *,
        prev: Tensor | None = None,
        exists: Tensor | None = None,
    ) -> Tensor:
        """Encode one frame.

        Args:
            maps: (B, N, C, h_l, w_l) of each level.
            matrices: ``cam2img``, ``cam2lidar``, ``img_aug_matrix`` (B, N, 4, 4) of this frame and
                ``lidar_aug_matrix`` (B, 4, 4), see :func:`lidar_to_image`.
            image_size: Height and width of the images, in pixels.
            prev: (B, H * W, C), what this method returned for the frame before.
            exists: (B,) bool, where there is such a frame; the queries themselves stand in elsewhere. ``None``: all.

        Returns:
            (B, H * W, C), row by row.

        Raises:
            ShapeError: There are other maps or cameras than the encoder was built for, or the shapes do not fit.
        """
        self._check(maps)
        batch = maps[0].shape[0]
        memory = self._memory(maps)
        points = pillar_points(self.point_range, self.bev_size, self.num_heights, like=self.bev_embedding)
        with torch.no_grad():
            projection = lidar_to_image(
                matrices['cam2img'],
                matrices['cam2lidar'],
                matrices['img_aug_matrix'],
                matrices['lidar_aug_matrix'],
            )
            plan = plan_cameras(view_pillars(points, projection, image_size), self.max_share)
        query = self.bev_embedding.expand(batch, -1, -1)
        position = self.positional_encoding(query.new_zeros(1, *self.bev_size)).flatten(2).transpose(1, 2)
        if exists is None:
            exists = torch.ones(batch, dtype=torch.bool, device=query.device)
        for layer in self.layers:
            query = layer(query, position, prev=prev, exists=exists, size=self.bev_size, memory=memory, plan=plan)
        return query

    def _memory(self, maps: Sequence[Tensor]) -> Levels:
        """Tokens (B * N, cells, C) that know their camera and their level."""
        marked = [
            as_float32(level) + (self.camera_embed + self.level_embed[index])[:, :, None, None]
            for index, level in enumerate(maps)
        ]
        return flatten_maps([level.flatten(0, 1) for level in marked])

    def _check(self, maps: Sequence[Tensor]) -> None:
        shapes = [tuple(level.shape) for level in maps]
        expected = (self.num_cameras, self.embed_dims)
        if len(shapes) != self.num_levels or any(len(shape) != 5 or shape[1:3] != expected for shape in shapes):
            raise ShapeError(
                f'BEVFormerEncoder: the maps have shapes {shapes}, expected {self.num_levels} of (B, '
                f'{self.num_cameras}, {self.embed_dims}, h, w): num_levels, num_cameras and embed_dims are those of '
                'the image neck and the data.'
            )

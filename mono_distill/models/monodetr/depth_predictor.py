"""Depth branch of MonoDETR: a depth distribution for every cell and depth-aware tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mono_distill.losses.masked import as_float32
from mono_distill.models.monodetr.attention import Attention
from mono_distill.ops.depth_bins import index_to_depth
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError

GROUPS = 32


class DepthPrediction(NamedTuple):
    """What the depth branch says of every cell of the 1/16 map.

    Attributes:
        logits: (B, bins + 1, h, w), depth classes; the last is the background and what lies beyond the range.
        weighted_depth: (B, h, w) metres, the mean of that distribution.
        embed: (B, C, h, w), the tokens that the decoder's depth attention reads.
    """

    logits: Tensor
    weighted_depth: Tensor
    embed: Tensor


class DepthEncoderLayer(nn.Module):
    """Self-attention over all cells and a feed-forward layer, each with a residual and a norm after it.

    Args:
        embed_dims: Channels C.
        num_heads: Heads.
        feedforward_channels: Width of the feed-forward layer.
        dropout: Rate of all dropouts.
    """

    def __init__(self, embed_dims: int, num_heads: int, *, feedforward_channels: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = Attention(embed_dims, num_heads, dropout=dropout)
        self.linear1 = nn.Linear(embed_dims, feedforward_channels)
        self.linear2 = nn.Linear(feedforward_channels, embed_dims)
        self.norm1 = nn.LayerNorm(embed_dims)
        self.norm2 = nn.LayerNorm(embed_dims)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, pos: Tensor) -> Tensor:
        """Run the layer on tokens (B, N, C) at encoded positions (1, N, C)."""
        query = tokens + pos
        attended = self.self_attn(query, query, tokens)
        tokens = self.norm1(tokens + self.dropout(attended))
        hidden = self.dropout(self.linear1(tokens).relu())
        out: Tensor = self.norm2(tokens + self.dropout(self.linear2(hidden)))
        return out


class DepthEncoder(nn.Module):
    """Layers of :class:`DepthEncoderLayer`."""

    def __init__(self, num_layers: int, embed_dims: int, **options: int | float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DepthEncoderLayer(embed_dims, **options) for _ in range(num_layers))  # type: ignore[arg-type]

    def forward(self, tokens: Tensor, pos: Tensor) -> Tensor:
        """Run all layers."""
        for layer in self.layers:
            tokens = layer(tokens, pos)
        return tokens


@MODELS.register_module()
class MonoDETRDepthPredictor(nn.Module):
    r"""Predict a foreground depth map from the three finest maps of the neck (MonoDETR, ICCV 2023, section 3.2).

    The maps, brought to the size of the middle one, are averaged and give logits over linearly increasing depth bins.
    The weighted depth of a cell is :math:`\sum_k p_k z_k` with :math:`z_k` the near edge of bin k, and the far end of
    the range for the last class (``depth_predictor.py`` of the official code, which calls the edges centres). An
    encoder of its own and an embedding of the weighted depth, interpolated between whole metres, give the tokens.

    Args:
        embed_dims: Channels C of the maps and tokens.
        num_bins: Depth bins K; there are K + 1 classes.
        depth_range: Nearest and farthest depth, metres.
        num_layers: Layers of the encoder.
        num_heads: Heads of its attention.
        feedforward_channels: Width of its feed-forward layers.
        dropout: Rate of its dropouts.
    """

    depth_bin_values: Tensor

    def __init__(
        self,
        embed_dims: int = 256,
        num_bins: int = 80,
        *,
        depth_range: tuple[float, float] = (1e-3, 60.0),
        num_layers: int = 1,
        num_heads: int = 8,
        feedforward_channels: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.embed_dims = embed_dims
        self.num_bins = num_bins
        self.depth_range = (float(depth_range[0]), float(depth_range[1]))
        edges = index_to_depth(torch.arange(num_bins + 1), depth_range=self.depth_range, bins=num_bins)
        self.register_buffer('depth_bin_values', edges)
        self.downsample = _conv_norm(embed_dims, 3, stride=2)
        self.proj = _conv_norm(embed_dims, 1)
        self.upsample = _conv_norm(embed_dims, 1)
        self.depth_head = nn.Sequential(
            *_conv_norm(embed_dims, 3), nn.ReLU(inplace=True), *_conv_norm(embed_dims, 3), nn.ReLU(inplace=True)
        )
        self.depth_classifier = nn.Conv2d(embed_dims, num_bins + 1, 1)
        self.depth_encoder = DepthEncoder(
            num_layers, embed_dims, num_heads=num_heads, feedforward_channels=feedforward_channels, dropout=dropout
        )
        self.depth_pos_embed = nn.Embedding(int(self.depth_range[1]) + 1, embed_dims)

    def forward(self, maps: Sequence[Tensor], pos: Tensor, known_depth: Tensor | None = None) -> DepthPrediction:
        """Predict depth.

        Args:
            maps: At least three maps (B, C, H_i, W_i), fine to coarse, each half the size of the one before.
            pos: (1, h * w, C), encoded positions of the second map's cells.
            known_depth: (B, h, w) metres, takes the place of the weighted depth (a teacher that is told the depth);
                the logits, and so the depth loss, do not change.

        Returns:
            Logits, weighted depth and tokens of the second map's cells.

        Raises:
            ShapeError: ``known_depth`` does not fit.
        """
        features = self.depth_head(self._fused(maps))
        logits = self.depth_classifier(features)
        if known_depth is None:
            weighted_depth = self._mean_depth(logits)
        elif known_depth.shape != logits[:, 0].shape:
            raise ShapeError(
                f'MonoDETRDepthPredictor: known_depth has shape {tuple(known_depth.shape)}, '
                f'expected {tuple(logits[:, 0].shape)}.'
            )
        else:
            weighted_depth = known_depth
        tokens = self.depth_encoder(features.flatten(2).transpose(1, 2), pos)
        encoded = tokens.transpose(1, 2).unflatten(2, features.shape[2:])
        return DepthPrediction(logits, weighted_depth, encoded + self.embed_depth(weighted_depth))

    def embed_depth(self, depth: Tensor) -> Tensor:
        """Interpolate between the learned vectors of whole metres.

        Args:
            depth: (B, h, w) metres.

        Returns:
            (B, C, h, w).
        """
        last = self.depth_pos_embed.num_embeddings - 1
        depth = as_float32(depth).clamp(0, last)
        lower = depth.detach().floor()
        upper = (lower + 1).clamp(max=last)
        share = (depth - lower).unsqueeze(-1)
        near, far = self.depth_pos_embed(lower.long()), self.depth_pos_embed(upper.long())
        return (near * (1 - share) + far * share).permute(0, 3, 1, 2)

    def _fused(self, maps: Sequence[Tensor]) -> Tensor:
        fine, middle, coarse = maps[:3]
        # A 1x1 convolution and an interpolation may change places; it is four times cheaper on the coarse map.
        conv, norm = self.upsample
        raised = norm(functional.interpolate(conv(coarse), size=middle.shape[2:], mode='bilinear'))
        out: Tensor = (self.downsample(fine) + self.proj(middle) + raised) / 3
        return out

    def _mean_depth(self, logits: Tensor) -> Tensor:
        """Sum over the bins in float32: half precision would round 60 m to a quarter of a metre."""
        with torch.autocast(logits.device.type, enabled=False):
            probability = as_float32(logits).softmax(dim=1)
            return torch.einsum('bkhw,k->bhw', probability, self.depth_bin_values)


def _conv_norm(channels: int, kernel_size: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel_size, stride=stride, padding=kernel_size // 2),
        nn.GroupNorm(GROUPS, channels),
    )

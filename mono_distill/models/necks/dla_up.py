"""The DLAUp neck of MonoDLE and DID-M3D."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

# Bilinear interpolation by a factor of two as a transposed convolution of kernel 4 and stride 2.
_BILINEAR = (0.25, 0.75, 0.75, 0.25)


@MODELS.register_module()
class DLAUpNeck(BaseModule):
    """Iterative deep aggregation (Yu et al., CVPR 2018) with concatenating nodes, as in the official MonoDLE code.

    Stage i fuses the i+2 coarsest levels one octave finer than the stage before:
    ``x_j = node_j([x_{j-1}, up_j(proj_j(x_j))])`` with 3x3 conv-norm-ReLU projections and nodes and depth-wise
    transposed convolutions initialised to bilinear interpolation. mmdet3d's ``DLANeck`` is another network: it adds
    instead of concatenating and has a further aggregation at the end. Works on any pyramid of factor-two levels.

    Args:
        in_channels: Channels of the backbone levels, fine to coarse.
        norm_cfg: Normalisation after each convolution.
        coord_channels: Append the pixel coordinates, normalised to [-1, 1], to the input of every node (two channels;
            parameter names stay). For a fixed camera and resize they are affine in the direction of the viewing ray.
            A help for small networks and short schedules; not in the published one.
        init_cfg: See mmengine.

    Raises:
        ConfigError: If fewer than two levels are given.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256, 512),
        *,
        norm_cfg: dict[str, Any] | None = None,
        coord_channels: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(in_channels) < 2:
            raise ConfigError(f'DLAUpNeck: in_channels={tuple(in_channels)} names fewer than the two levels needed.')
        self.in_channels = tuple(in_channels)
        norm_cfg = norm_cfg or dict(type='BN')
        extra = 2 if coord_channels else 0
        for stage, channels in enumerate(reversed(self.in_channels[:-1])):
            # Sources of the stage: the next coarser raw level and every map fused before, all of the former's width.
            source = self.in_channels[-1 - stage]
            self.add_module(f'ida_{stage}', _Aggregation(channels, source, stage + 1, norm_cfg, extra))

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Fuse a pyramid.

        Args:
            feats: Backbone maps (B, C_i, H_i, W_i), fine to coarse, each half the size of the one before.

        Returns:
            As many maps of the same shapes, fine to coarse: the last map of every stage, and the coarsest input as is.

        Raises:
            ShapeError: If number, channels or sizes of the levels do not fit.
        """
        self._check(feats)
        layers = list(feats)
        outputs = [layers[-1]]
        for stage in range(len(layers) - 1):
            start = len(layers) - 2 - stage
            layers[start:] = getattr(self, f'ida_{stage}')(layers[start:])
            outputs.append(layers[-1])
        return tuple(reversed(outputs))

    def _check(self, feats: Sequence[Tensor]) -> None:
        channels = tuple(feat.shape[1] for feat in feats)
        if channels != self.in_channels:
            raise ShapeError(
                f'DLAUpNeck: levels have {channels} channels, expected {self.in_channels}, fine to coarse.'
            )
        sizes = [tuple(feat.shape[2:]) for feat in feats]
        if any((2 * h, 2 * w) != finer for finer, (h, w) in pairwise(sizes)):
            raise ShapeError(
                f'DLAUpNeck: level sizes {sizes} do not halve from one to the next; '
                'choose an input height and width divisible by the largest stride.'
            )


class _Aggregation(BaseModule):
    """One stage: bring ``num_sources`` coarser maps to the finest one's width and size, fusing them in order."""

    def __init__(self, channels: int, source: int, num_sources: int, norm_cfg: dict[str, Any], extra: int) -> None:
        super().__init__()
        self.num_sources = num_sources
        self.coord_channels = extra > 0
        for j in range(1, num_sources + 1):
            up = nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, groups=channels, bias=False)
            self.add_module(f'proj_{j}', ConvModule(source, channels, 3, padding=1, norm_cfg=norm_cfg))
            self.add_module(f'up_{j}', up)
            self.add_module(f'node_{j}', ConvModule(2 * channels + extra, channels, 3, padding=1, norm_cfg=norm_cfg))
        self._fill_bilinear()

    def init_weights(self) -> None:
        """Kaiming for convolutions (as official), bilinear for the transposed ones."""
        super().init_weights()
        self._fill_bilinear()

    def forward(self, layers: Sequence[Tensor]) -> list[Tensor]:
        fused = [layers[0]]
        coords = [_pixel_coordinates(layers[0])] if self.coord_channels else []
        for j in range(1, self.num_sources + 1):
            lifted = getattr(self, f'up_{j}')(getattr(self, f'proj_{j}')(layers[j]))
            fused.append(getattr(self, f'node_{j}')(torch.cat([fused[-1], lifted, *coords], dim=1)))
        return fused

    @torch.no_grad()
    def _fill_bilinear(self) -> None:
        for j in range(1, self.num_sources + 1):
            weight = getattr(self, f'up_{j}').weight
            line = weight.new_tensor(_BILINEAR)
            weight.copy_(torch.outer(line, line).expand_as(weight))


def _pixel_coordinates(feat: Tensor) -> Tensor:
    """Return x and y of the pixel centres of ``feat``, in [-1, 1] from border to border, as (B, 2, H, W)."""
    batch, _, height, width = feat.shape
    x = (torch.arange(width, device=feat.device) * 2 + 1) / width - 1
    y = (torch.arange(height, device=feat.device) * 2 + 1) / height - 1
    grid = torch.stack([x.expand(height, width), y.unsqueeze(1).expand(height, width)])
    return grid.to(feat.dtype).expand(batch, -1, -1, -1)

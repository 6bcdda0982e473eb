"""The neck of Lift-Splat-Shoot and BEVDet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError


@MODELS.register_module()
class LSSFPN(BaseModule):
    """Merge two levels: the coarse one is enlarged, put next to the fine one and passed through two convolutions.

    BEVDet has one behind its image backbone (strides 16 and 32) and one behind its BEV encoder (strides 2 and 8,
    enlarged once more to stride 1). The official code enlarges with ``align_corners=True``, which moves what lies away
    from the middle of the map by up to a cell and a half; here the default keeps cells where they are.

    Args:
        in_channels: Channels of the fine and of the coarse level.
        out_channels: Channels of the result.
        levels: Which two of the input's levels.
        extra_upsample: Factor by which the result is enlarged at the end, or ``None``; the convolutions before it are
            twice as wide then.
        align_corners: See :func:`torch.nn.functional.interpolate`.
        init_cfg: See mmengine.

    Raises:
        ConfigError: There are not two levels.

    Example:
        >>> neck = LSSFPN([4, 8], 6, levels=(0, 1), extra_upsample=2)
        >>> neck([torch.zeros(1, 4, 8, 8), torch.zeros(1, 8, 2, 2)])[0].shape
        torch.Size([1, 6, 16, 16])
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        *,
        levels: Sequence[int] = (0, 2),
        extra_upsample: int | None = 2,
        align_corners: bool = False,
        init_cfg: Any = None,
    ) -> None:
        if not len(in_channels) == len(levels) == 2:
            raise ConfigError(f'LSSFPN: merges two levels, got in_channels={in_channels} and levels={levels}.')
        super().__init__(init_cfg=init_cfg or dict(type='Kaiming', layer='Conv2d'))
        self.levels = (levels[0], levels[1])
        self.align_corners = align_corners
        self.extra_upsample = extra_upsample
        width = out_channels * (1 if extra_upsample is None else 2)
        self.conv = nn.Sequential(*_conv_norm(sum(in_channels), width), *_conv_norm(width, width))
        if extra_upsample is not None:
            self.refine = nn.Sequential(*_conv_norm(width, out_channels), nn.Conv2d(out_channels, out_channels, 1))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Merge.

        Args:
            maps: Levels ``(B, C_i, H_i, W_i)``.

        Returns:
            List of one map.

        Raises:
            ShapeError: The fine level is no whole multiple of the coarse one.
        """
        fine, coarse = maps[self.levels[0]], maps[self.levels[1]]
        if fine.shape[2] % coarse.shape[2] or fine.shape[3] % coarse.shape[3]:
            raise ShapeError(
                f'LSSFPN: the levels {tuple(fine.shape)} and {tuple(coarse.shape)} do not divide; use a size of the '
                'map or image that the backbone divides without rest.'
            )
        x = self.conv(torch.cat([fine, self._resize(coarse, (fine.shape[2], fine.shape[3]))], 1))
        if self.extra_upsample is not None:
            x = self.refine(self._resize(x, (x.shape[2] * self.extra_upsample, x.shape[3] * self.extra_upsample)))
        return [x]

    def _resize(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(x, size, mode='bilinear', align_corners=self.align_corners)


def _conv_norm(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)

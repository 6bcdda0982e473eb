"""Self-calibrated convolutions (SCNet, CVPR 2020) as CMKD and MonoTAKD adapt image to LiDAR features with them."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.models.monotakd.norm import norm2d
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError

_POOLING = 4


@MODELS.register_module()
class SCNet(nn.Sequential):
    """A stack of self-calibrated bottlenecks that keeps the shape of a BEV map, the "domain adaptation" of CMKD.

    In MonoTAKD it follows the visual map only; its output is what IMD compares with the assistant's map.

    The official config says ``NUM_BLOCKS: 5`` and gets four, because the loop that builds them
    (``pcdet/models/backbones_2d/domain_adaptation/scnet.py``) starts at 1; here the number is what is built. The
    official code also forces float32 under autocast.

    Args:
        channels: Channels of the map, even.
        num_blocks: Bottlenecks; 4 in the published models.
        full_precision: Compute in float32 whatever autocast says, as officially.
        norm_groups: ``None`` for batch norm, or the groups of a group norm, for training with one image per process.

    Example:
        >>> SCNet(8, 1)(torch.zeros(2, 8, 8, 12)).shape
        torch.Size([2, 8, 8, 12])
    """

    def __init__(
        self,
        channels: int = 128,
        num_blocks: int = 4,
        *,
        full_precision: bool = False,
        norm_groups: int | None = None,
    ) -> None:
        super().__init__(*(SCBottleneck(channels, norm_groups) for _ in range(num_blocks)))
        self.channels = channels
        self.full_precision = full_precision

    def forward(self, bev: Tensor) -> Tensor:
        """Refine a map.

        Args:
            bev: ``(B, channels, H, W)``, at least 4 x 4 places.

        Returns:
            The same shape, not negative.

        Raises:
            ShapeError: The channels are others or the map is too small.
        """
        if bev.dim() != 4 or bev.shape[1] != self.channels or min(bev.shape[2:]) < _POOLING:
            raise ShapeError(
                f'SCNet: built for maps (B, {self.channels}, H, W) with at least {_POOLING} rows and columns, got '
                f'{tuple(bev.shape)}.'
            )
        with torch.autocast(bev.device.type, enabled=False) if self.full_precision else nullcontext():
            out: Tensor = super().forward(bev.float() if self.full_precision else bev)
        return out

    def extra_repr(self) -> str:
        """Show the precision in ``repr``."""
        return 'full_precision=True' if self.full_precision else ''


class SCBottleneck(nn.Module):
    """Residual block of two halves, an ordinary and a self-calibrated convolution.

    Parameters are named as in the public SCNet code.

    Args:
        channels: Channels in and out, even.
        norm_groups: See :class:`SCNet`.
    """

    def __init__(self, channels: int, norm_groups: int | None = None) -> None:
        super().__init__()
        half = channels // 2
        self.conv1_a = nn.Conv2d(channels, half, 1, bias=False)
        self.bn1_a = norm2d(half, norm_groups)
        self.k1 = nn.Sequential(*_conv_norm(half, norm_groups), nn.ReLU(inplace=True))
        self.conv1_b = nn.Conv2d(channels, half, 1, bias=False)
        self.bn1_b = norm2d(half, norm_groups)
        self.scconv = SCConv(half, norm_groups)
        self.conv3 = nn.Conv2d(2 * half, channels, 1, bias=False)
        self.bn3 = norm2d(channels, norm_groups)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Refine ``(B, channels, H, W)``."""
        plain = self.k1(self.relu(self.bn1_a(self.conv1_a(x))))
        calibrated = self.relu(self.scconv(self.relu(self.bn1_b(self.conv1_b(x)))))
        out: Tensor = self.relu(self.bn3(self.conv3(torch.cat([plain, calibrated], 1))) + x)
        return out


class SCConv(nn.Module):
    """Self-calibrated convolution: a coarse view of the map decides what of each place is let through.

    Args:
        channels: Channels in and out.
        norm_groups: See :class:`SCNet`.
    """

    def __init__(self, channels: int, norm_groups: int | None = None) -> None:
        super().__init__()
        self.k2 = nn.Sequential(nn.AvgPool2d(_POOLING), *_conv_norm(channels, norm_groups))
        self.k3 = nn.Sequential(*_conv_norm(channels, norm_groups))
        self.k4 = nn.Sequential(*_conv_norm(channels, norm_groups))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(B, channels, H, W)``."""
        gate = (x + F.interpolate(self.k2(x), x.shape[2:])).sigmoid()
        out: Tensor = self.k4(self.k3(x) * gate)
        return out


def _conv_norm(channels: int, norm_groups: int | None) -> tuple[nn.Module, nn.Module]:
    # The bias has no effect before a norm; with it the module has the published number of parameters.
    return nn.Conv2d(channels, channels, 3, padding=1), norm2d(channels, norm_groups)

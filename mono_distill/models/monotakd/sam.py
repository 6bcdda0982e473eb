"""Spatial alignment of the student's BEV features in MonoTAKD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.models.monotakd.deform_conv import DeformConv2d
from mono_distill.models.monotakd.norm import norm2d, pooled_norm2d
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

Pyramid = Literal['features', 'gate']


@MODELS.register_module()
class SpatialAlignmentModule(nn.Module):
    r"""SAM: atrous pyramid with channel attention, plus deformable convolutions, then two plain convolutions.

    .. math::
        g &= \sigma(W_3\, \rho(W_2\, \rho(W_1 \operatorname{mean}_{hw} \operatorname{ASPP}(x)))) \\
        y &= \operatorname{conv}(\rho(\operatorname{conv}(g \cdot a + \operatorname{DCN}(\operatorname{DCN}(x)))))

    with :math:`\rho` the ReLU and the same deformable convolution applied twice. The paper describes a cascade of
    atrous pyramid, deformable convolution and squeeze-and-excitation that widens the receptive field and undoes shifts
    of features by wrong depth; layers and widths are those of the released class
    (``pcdet/models/model_utils/GCnet.py``). Three things differ there, which are options: the pyramid only drives the
    gate of the input, :math:`a = x` (``pyramid='gate'``), where here it is what is gated,
    :math:`a = \operatorname{ASPP}(x)`; the result is rectified (``output_relu=True``), so that it can follow an
    absolute residual only; and the offsets start random (``zero_offsets=False``). The paper applies the module to the
    student's spatial map, the release to the assistant's map also.

    With a single image per process the pooled branch of the pyramid has one number per channel, which a batch norm
    cannot normalise: the official module fails there in training. Here it runs, but the batch norm behind the branch
    takes its constant out of a single image, so that the branch does not learn; give ``norm_groups`` for such training.

    Args:
        channels: Channels in and out.
        pyramid: What the gate multiplies: ``'features'`` of the pyramid, or the input, the pyramid being but the
            ``'gate'``.
        output_relu: Rectify the result.
        zero_offsets: Start the deformable convolution as an ordinary one.
        dilations: Of the pyramid's 3x3 convolutions; officially a third one of 18 is commented out.
        norm_groups: ``None`` for batch norm in the pyramid, or the groups of a group norm, for training with one image
            per process.

    Raises:
        ConfigError: ``pyramid`` is unknown.

    Example:
        >>> SpatialAlignmentModule(8)(torch.zeros(2, 8, 6, 7)).shape
        torch.Size([2, 8, 6, 7])
    """

    def __init__(
        self,
        channels: int = 128,
        *,
        pyramid: Pyramid = 'features',
        output_relu: bool = False,
        zero_offsets: bool = True,
        dilations: Sequence[int] = (6, 12),
        norm_groups: int | None = None,
    ) -> None:
        super().__init__()
        if pyramid not in get_args(Pyramid):
            raise ConfigError(f"SpatialAlignmentModule: pyramid must be 'features' or 'gate', got '{pyramid}'.")
        self.channels = channels
        self.pyramid: Pyramid = pyramid
        self.output_relu = output_relu
        self.aspp = AtrousPyramid(channels, dilations, norm_groups)
        self.gate = nn.Sequential(
            nn.Linear(channels, channels, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels, bias=False),
            nn.Sigmoid(),
        )
        self.deform = DeformConv2d(channels, zero_offsets=zero_offsets)
        self.mix = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * channels, channels, 3, padding=1, bias=False),
        )

    def forward(self, bev: Tensor) -> Tensor:
        """Align a map.

        Args:
            bev: ``(B, channels, H, W)``.

        Returns:
            The same shape.

        Raises:
            ShapeError: The channels are others.
        """
        if bev.dim() != 4 or bev.shape[1] != self.channels:
            raise ShapeError(
                f'SpatialAlignmentModule: built for maps (B, {self.channels}, H, W), got {tuple(bev.shape)}.'
            )
        pyramid = self.aspp(bev)
        gate = self.gate(pyramid.mean((2, 3)))[..., None, None]
        attended = (pyramid if self.pyramid == 'features' else bev) * gate
        out: Tensor = self.mix(attended + self.deform(self.deform(bev)))
        return out.relu() if self.output_relu else out

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'pyramid={self.pyramid!r}, output_relu={self.output_relu}'


class AtrousPyramid(nn.Module):
    """ASPP (DeepLab v3): 1x1, dilated 3x3 and image-pooling branches of half the width, joined by a 1x1 convolution.

    Every convolution has a bias and is followed by a norm and ReLU.

    Args:
        channels: Channels in and out, even.
        dilations: One 3x3 branch each.
        norm_groups: See :class:`SpatialAlignmentModule`.
    """

    def __init__(self, channels: int, dilations: Sequence[int] = (6, 12), norm_groups: int | None = None) -> None:
        super().__init__()
        half = channels // 2
        self.branches = nn.ModuleList([_conv(channels, half, norm2d(half, norm_groups))])
        self.branches.extend(_conv(channels, half, norm2d(half, norm_groups), dilation) for dilation in dilations)
        self.pooled = _conv(channels, half, pooled_norm2d(half, norm_groups))
        self.project = _conv(half * (len(dilations) + 2), channels, norm2d(channels, norm_groups))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, channels, H, W)`` to the same shape."""
        # Interpolating a single place, as officially, is to repeat it.
        whole = self.pooled(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        out: Tensor = self.project(torch.cat([*(branch(x) for branch in self.branches), whole], 1))
        return out


def _conv(channels: int, out_channels: int, norm: nn.Module, dilation: int | None = None) -> nn.Sequential:
    if dilation is None:
        conv = nn.Conv2d(channels, out_channels, 1)
    else:
        conv = nn.Conv2d(channels, out_channels, 3, padding=dilation, dilation=dilation)
    return nn.Sequential(conv, norm, nn.ReLU(inplace=True))

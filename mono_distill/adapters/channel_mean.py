"""Adapter of the spatial pattern of a map (DistillBEV, ICCV 2023)."""

from __future__ import annotations

from torch import Tensor, nn

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


@MODELS.register_module()
class ChannelMeanConv(nn.Module):
    """Mean over the channels, then a 3x3 convolution from one channel to one.

    DistillBEV puts it on the student before :class:`mono_distill.losses.ChannelMeanL1Loss`
    (``mmdet3d/models/detectors/bevdet_distill.py`` lines 1252-1287). It is dropped after training.

    Raises:
        ShapeError: On call: the input is not a map.

    Example:
        >>> import torch
        >>> ChannelMeanConv()(torch.randn(2, 8, 4, 6)).shape
        torch.Size([2, 1, 4, 6])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Adapt the channel mean.

        Args:
            x: Map ``(B, C, H, W)``.

        Returns:
            ``(B, 1, H, W)``.
        """
        if x.dim() != 4:
            raise ShapeError(f'ChannelMeanConv: expected a map (B, C, H, W), got {tuple(x.shape)}.')
        adapted: Tensor = self.conv(x.mean(1, keepdim=True))
        return adapted

"""The view transformer of Lift-Splat-Shoot and BEVDet."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mono_distill.models.view_transformers.base import LiftSplatTransformer
from mono_distill.models.view_transformers.frustum import Cameras
from mono_distill.registry import MODELS


@MODELS.register_module()
class LSSViewTransformer(LiftSplatTransformer):
    """Depth and context from one 1x1 convolution of the image features; cameras are not told.

    `BEVDet <https://arxiv.org/abs/2112.11790>`_ learns depth from the detection losses alone (``loss_depth_weight=0``).

    Args:
        in_channels: See :class:`LiftSplatTransformer`.
        out_channels: See :class:`LiftSplatTransformer`; 64 in BEVDet.
        options: See :class:`LiftSplatTransformer`.

    Example:
        >>> LSSViewTransformer(8, 4, d_bound=(1.0, 60.0, 1.0)).depth_net
        Conv2d(8, 63, kernel_size=(1, 1), stride=(1, 1))
    """

    def __init__(self, in_channels: int = 256, out_channels: int = 64, **options: Any) -> None:
        super().__init__(in_channels, out_channels, **options)
        self.depth_net = nn.Conv2d(in_channels, self.bins.bins + out_channels, 1)

    def predict_depth(self, features: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
        """See :meth:`LiftSplatTransformer.predict_depth`."""
        joint = self.depth_net(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        return joint[:, :, : self.bins.bins], joint[:, :, self.bins.bins :]

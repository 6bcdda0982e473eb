"""The view transformer of BEVDepth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mono_distill.models.view_transformers.base import LiftSplatTransformer
from mono_distill.models.view_transformers.depth_net import DepthNet
from mono_distill.models.view_transformers.frustum import Cameras
from mono_distill.registry import MODELS


@MODELS.register_module()
class BEVDepthViewTransformer(LiftSplatTransformer):
    """Depth from a network that is told the camera, supervised by LiDAR (`BEVDepth
    <https://arxiv.org/abs/2206.10092>`_, AAAI 2023).

    The refinement of the lifted volume (``DepthAggregation`` of the official code) is not offered: it needs the volume.

    Args:
        in_channels: See :class:`LiftSplatTransformer`.
        out_channels: See :class:`LiftSplatTransformer`.
        depth_net: Options of :class:`DepthNet`.
        loss_depth_weight: Weight of the depth loss.
        options: See :class:`LiftSplatTransformer`.
    """

    def __init__(
        self,
        in_channels: int = 512,
        out_channels: int = 80,
        *,
        depth_net: Mapping[str, Any] | None = None,
        loss_depth_weight: float = 3.0,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, loss_depth_weight=loss_depth_weight, **options)
        self.depth_net = DepthNet(in_channels, out_channels, self.bins.bins, **(depth_net or {}))

    def predict_depth(self, features: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
        """See :meth:`LiftSplatTransformer.predict_depth`."""
        logits, context = self.depth_net(features, cameras)
        return logits, context

"""What all lift-splat view transformers share: grid, bins, geometry and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mono_distill.losses.masked import as_float32
from mono_distill.models.view_transformers.bounds import bev_grid, bin_depths, depth_bins
from mono_distill.models.view_transformers.depth_loss import lidar_depth_loss
from mono_distill.models.view_transformers.depth_override import DepthMode, known_depth, override_depth
from mono_distill.models.view_transformers.frustum import Cameras, FrustumMode, cell_pixels, frustum_points
from mono_distill.ops.bev_pool import Rounding, bev_pool, bev_pool_indices
from mono_distill.utils.errors import ConfigError, ShapeError


class LiftedView(NamedTuple):
    """Output of a view transformer.

    Attributes:
        bev: ``(B, C, H, W)`` pooled map in the augmented LiDAR frame, H along y and W along x, float32.
        depth_logits: ``(B, N, D, h, w)``.
        depth: ``(B, N, D, h, w)`` weights used for pooling: softmax of the logits, with known depth if given; float32.
    """

    bev: Tensor
    depth_logits: Tensor
    depth: Tensor


class LiftSplatTransformer(BaseModule):
    """Base of the view transformers: a subclass predicts depth logits and context in :meth:`predict_depth`.

    Every pixel of the feature map is placed at the depths of all bins along its ray; the cells sum the context of the
    points they hold, weighted by the probability of the depth. Camera matrices may differ from sample to sample, and
    both augmentations (image, LiDAR frame) are taken into account, so that the map is one of the augmented LiDAR frame.

    Args:
        in_channels: Channels of the image features.
        out_channels: Channels C of the context, and of the map.
        downsample: Pixels of the augmented image per cell of the features.
        x_bound: From, to and cell size along x, metres, in the LiDAR frame.
        y_bound: The same along y.
        z_bound: The same along z; one cell.
        d_bound: From, to and width of the depth bins, metres.
        frustum_mode: See :func:`cell_pixels`.
        bin_position: See :func:`bin_depths`. A depth distribution that is supervised by LiDAR means the whole bin, of
            which ``'edge'``, the official form, is the near end.
        rounding: See :func:`mono_distill.ops.bev_pool_indices`.
        loss_depth_weight: Weight of :meth:`loss_depth`.
        init_cfg: See mmengine.

    Raises:
        ConfigError: A bound does not divide, or an option is unknown.
    """

    bin_depths: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        downsample: int = 16,
        x_bound: Sequence[float] = (-51.2, 51.2, 0.8),
        y_bound: Sequence[float] = (-51.2, 51.2, 0.8),
        z_bound: Sequence[float] = (-5.0, 3.0, 8.0),
        d_bound: Sequence[float] = (2.0, 58.0, 0.5),
        frustum_mode: FrustumMode = 'center',
        bin_position: str = 'edge',
        rounding: Rounding = 'floor',
        loss_depth_weight: float = 0.0,
        init_cfg: dict[str, object] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if rounding not in ('floor', 'trunc'):
            raise ConfigError(f"rounding must be 'floor' or 'trunc', got '{rounding}'.")
        cell_pixels((1, 1), downsample, mode=frustum_mode)
        self.in_channels, self.out_channels, self.downsample = in_channels, out_channels, downsample
        self.grid = bev_grid(x_bound, y_bound, z_bound)
        self.bins = depth_bins(d_bound)
        self.frustum_mode = frustum_mode
        self.rounding = rounding
        self.loss_depth_weight = loss_depth_weight
        self.register_buffer('bin_depths', bin_depths(self.bins, bin_position), persistent=False)

    def predict_depth(self, features: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
        """Return depth logits ``(B, N, D, h, w)`` and context ``(B, N, C, h, w)``.

        Args:
            features: ``(B, N, in_channels, h, w)``.
            cameras: What a network that knows its cameras is told of them.
        """
        raise NotImplementedError

    def forward(
        self,
        features: Tensor,
        cameras: Cameras,
        depth_override: Tensor | None = None,
        depth_mode: DepthMode = 'pred',
        *,
        key_cameras: Cameras | None = None,
    ) -> LiftedView:
        """Lift the features of one frame and pool them.

        Args:
            features: ``(B, N, in_channels, h, w)``.
            cameras: Geometry of this frame's cameras.
            depth_override: ``(B, N, D, h, w)`` known depth, zeros where there is none.
            depth_mode: See :func:`override_depth`.
            key_cameras: Cameras of the key-frame, which the depth network is told also where it looks at an earlier
                frame, as in the official code (``base_lss_fpn.py:214``); ``None``: those of this frame.

        Raises:
            ShapeError: Features, cameras or override do not fit.
            ConfigError: ``depth_mode`` is unknown, or its override is missing.
        """
        expected = (*cameras.cam2img.shape[:2], self.in_channels)
        if features.dim() != 5 or tuple(features.shape[:3]) != expected:
            raise ShapeError(
                f'{type(self).__name__}: expected features (B, N, C, h, w) with (B, N, C) = {expected}, as many '
                f'cameras as matrices, got {tuple(features.shape)}.'
            )
        logits, context = self.predict_depth(features, cameras if key_cameras is None else key_cameras)
        with torch.autocast(features.device.type, enabled=False):
            depth = override_depth(as_float32(logits).softmax(2), depth_override, depth_mode)
            return LiftedView(self.pool(context, depth, cameras), logits, depth)

    def pool(self, context: Tensor, depth: Tensor, cameras: Cameras) -> Tensor:
        """Sum context into cells: ``(B, C, H, W)``, float32; the volume of all points is never stored.

        Args:
            context: ``(B, N, C, h, w)``.
            depth: ``(B, N, D, h, w)``.
            cameras: Geometry of the frame.
        """
        height, width = context.shape[3:]
        pixels = cell_pixels((height, width), self.downsample, mode=self.frustum_mode, device=context.device)
        with torch.no_grad():
            indices = bev_pool_indices(
                frustum_points(pixels, self.bin_depths, cameras),
                self.grid.size,
                x_range=self.grid.x_range,
                y_range=self.grid.y_range,
                z_range=self.grid.z_range,
                rounding=self.rounding,
            )
        return bev_pool(context, depth, indices)

    def known_depth(self, gt_depth: Tensor) -> Tensor:
        """Turn ``(B, N, h, w)`` LiDAR depth into a ``depth_override``."""
        return known_depth(gt_depth, self.bins)

    def loss_depth(self, depth_logits: Tensor, gt_depth: Tensor) -> Tensor:
        """Weighted :func:`lidar_depth_loss`."""
        return self.loss_depth_weight * lidar_depth_loss(depth_logits, gt_depth, self.bins)

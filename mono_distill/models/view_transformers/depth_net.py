"""BEVDepth's depth network, which knows the camera it looks through."""

from __future__ import annotations

import torch
from mmdet.models.backbones.resnet import BasicBlock
from torch import Tensor, nn

from mono_distill.models.view_transformers.aspp import ASPP
from mono_distill.models.view_transformers.camera_vector import CAMERA_VECTOR_SIZE, camera_vector
from mono_distill.models.view_transformers.frustum import Cameras
from mono_distill.models.view_transformers.grouped_deform_conv import GroupedDeformConv2d
from mono_distill.models.view_transformers.squeeze_excite import VectorGate, VectorMLP
from mono_distill.utils.errors import ConfigError

CAMERA_NORMS = ('BN', 'LN', 'none')
# Without statistics over cameras, pixels (thousands) would drown poses (metres).
_PIXELS = 1000.0


class DepthNet(nn.Module):
    """Depth logits and context from image features, both gated by the camera (BEVDepth, section 4.2).

    A 3x3 convolution; then for the context a gate and a 1x1 convolution, and for depth a gate, residual blocks, ASPP, a
    deformable convolution and a 1x1 convolution. The gates come from intrinsics, augmentations and pose of the camera.

    Args:
        in_channels: Channels of the image features.
        out_channels: Channels of the context.
        bins: Depth bins D.
        mid_channels: Channels inside.
        num_blocks: Residual blocks of the depth branch.
        aspp: Whether to have the ASPP.
        dcn: Whether the last 3x3 convolution (4 groups) is deformable; if not, it is an ordinary one.
        camera_norm: Norm of the camera's numbers: ``'BN'`` as officially, whose only statistics are the rows of a
            batch, samples times cameras, and which fails to train at batches of one sample; ``'LN'`` for small batches;
            or ``'none'``.

    Raises:
        ConfigError: ``camera_norm`` is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        bins: int,
        *,
        mid_channels: int = 512,
        num_blocks: int = 3,
        aspp: bool = True,
        dcn: bool = True,
        camera_norm: str = 'BN',
    ) -> None:
        super().__init__()
        if camera_norm not in CAMERA_NORMS:
            raise ConfigError(f'DepthNet: camera_norm must be one of {", ".join(CAMERA_NORMS)}, got {camera_norm!r}.')
        self.pixel_unit = 1.0 if camera_norm == 'BN' else _PIXELS
        self.reduce_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, 3, padding=1), nn.BatchNorm2d(mid_channels), nn.ReLU(inplace=True)
        )
        self.bn = _vector_norm(camera_norm)
        self.depth_mlp = VectorMLP(CAMERA_VECTOR_SIZE, mid_channels)
        self.depth_se = VectorGate(mid_channels)
        self.context_mlp = VectorMLP(CAMERA_VECTOR_SIZE, mid_channels)
        self.context_se = VectorGate(mid_channels)
        self.context_conv = nn.Conv2d(mid_channels, out_channels, 1)
        layers: list[nn.Module] = [BasicBlock(mid_channels, mid_channels) for _ in range(num_blocks)]
        if aspp:
            layers.append(ASPP(mid_channels))
        layers.append(
            GroupedDeformConv2d(mid_channels, groups=4)
            if dcn
            else nn.Conv2d(mid_channels, mid_channels, 3, padding=1, groups=4, bias=False)
        )
        layers.append(nn.Conv2d(mid_channels, bins, 1))
        self.depth_conv = nn.Sequential(*layers)

    def forward(self, features: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
        """Return logits ``(B, N, D, h, w)`` and context ``(B, N, C, h, w)``.

        Args:
            features: ``(B, N, in_channels, h, w)``.
            cameras: B samples with N cameras.
        """
        leading = features.shape[:2]
        with torch.autocast(features.device.type, enabled=False):
            vector = camera_vector(cameras, self.pixel_unit).flatten(0, 1)
            vector = self.bn(vector.to(self.depth_mlp.fc1.weight.dtype))
        shared = self.reduce_conv(features.flatten(0, 1))
        context = self.context_conv(self.context_se(shared, self.context_mlp(vector)))
        logits = self.depth_conv(self.depth_se(shared, self.depth_mlp(vector)))
        return logits.unflatten(0, leading), context.unflatten(0, leading)


def _vector_norm(kind: str) -> nn.Module:
    if kind == 'BN':
        return nn.BatchNorm1d(CAMERA_VECTOR_SIZE)
    return nn.LayerNorm(CAMERA_VECTOR_SIZE) if kind == 'LN' else nn.Identity()

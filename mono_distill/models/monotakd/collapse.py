"""From voxel to BEV features (CaDDN, CVPR 2021; CMKD; MonoTAKD)."""

from __future__ import annotations

from torch import Tensor, nn

from mono_distill.models.monotakd.norm import norm2d
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


@MODELS.register_module()
class BEVCollapse(nn.Module):
    """Join channels and heights of a voxel map and reduce them: 1x1 convolution, batch norm, ReLU.

    MonoTAKD has three of them on one voxel map (``pcdet/models/backbones_2d/map_to_bev/conv2d_collapse_TAKD.py``):
    ``block`` for the visual map, ``block_copy`` for the spatial map and ``block_target`` for the assistant's. The
    paper's figure separates visual and spatial context before they are lifted, which takes a second lift.

    Args:
        in_channels: Channels C of a voxel.
        num_heights: Voxels Z above each other.
        out_channels: Channels of the BEV map.
        norm_groups: ``None`` for batch norm, or the groups of a group norm, for training with one image per process.

    Example:
        >>> import torch
        >>> BEVCollapse(4, 3, 8)(torch.zeros(2, 4, 3, 5, 6)).shape
        torch.Size([2, 8, 5, 6])
    """

    def __init__(
        self,
        in_channels: int = 64,
        num_heights: int = 10,
        out_channels: int = 128,
        *,
        norm_groups: int | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.num_heights = num_heights
        self.conv = nn.Conv2d(in_channels * num_heights, out_channels, 1, bias=False)
        self.bn = norm2d(out_channels, norm_groups)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, voxels: Tensor) -> Tensor:
        """Collapse a voxel map.

        Args:
            voxels: ``(B, C, Z, Y, X)``; input channel ``c * Z + z`` of the convolution is channel c at height z.

        Returns:
            ``(B, out_channels, Y, X)``, not negative.

        Raises:
            ShapeError: C or Z is not what the module was built for.
        """
        if voxels.dim() != 5 or voxels.shape[1:3] != (self.in_channels, self.num_heights):
            raise ShapeError(
                f'BEVCollapse: built for voxels (B, {self.in_channels}, {self.num_heights}, Y, X), got '
                f'{tuple(voxels.shape)}; set in_channels and num_heights to those of the view transformer.'
            )
        out: Tensor = self.relu(self.bn(self.conv(voxels.flatten(1, 2))))
        return out

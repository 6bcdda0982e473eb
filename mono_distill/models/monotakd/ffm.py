"""Fusion of visual and spatial features of MonoTAKD's student."""

from __future__ import annotations

from torch import Tensor, nn

from mono_distill.models.monotakd.norm import norm2d
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


@MODELS.register_module()
class FeatureFusionModule(nn.Module):
    """Add the visual and the spatial BEV map and mix them: the map that the detector sees.

    The layers are those of the official class (``pcdet/models/model_utils/basic_block_2d.py``): 3x3, 1x1 and 3x3
    convolution, each with bias, batch norm and ReLU; the paper speaks of the sum and two convolutions. The official
    class uses one batch norm after the first and the third convolution, which mixes the running statistics of two
    layers. The released model leaves this module out (the sum is commented out in ``conv2d_collapse_TAKD.py``), so that
    its detector sees the visual map only.

    Args:
        channels: Channels of both maps and of the result.
        hidden_channels: Channels in between.
        share_norm: One batch norm for the first and the third convolution, as in the official class.
        norm_groups: ``None`` for batch norm, or the groups of a group norm, for training with one image per process.

    Example:
        >>> import torch
        >>> FeatureFusionModule(8, 16)(torch.zeros(2, 8, 4, 6), torch.zeros(2, 8, 4, 6)).shape
        torch.Size([2, 8, 4, 6])
    """

    def __init__(
        self,
        channels: int = 128,
        hidden_channels: int = 256,
        *,
        share_norm: bool = False,
        norm_groups: int | None = None,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn1 = norm2d(channels, norm_groups)
        self.conv2 = nn.Conv2d(channels, hidden_channels, 1)
        self.bn2 = norm2d(hidden_channels, norm_groups)
        self.conv3 = nn.Conv2d(hidden_channels, channels, 3, padding=1)
        self.bn3 = self.bn1 if share_norm else norm2d(channels, norm_groups)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, visual: Tensor, spatial: Tensor) -> Tensor:
        """Fuse two maps.

        Args:
            visual: ``(B, channels, H, W)``, behind :class:`~mono_distill.models.monotakd.SCNet` where there is one.
            spatial: The same shape, behind :class:`~mono_distill.models.monotakd.SpatialAlignmentModule`.

        Returns:
            The same shape, not negative.

        Raises:
            ShapeError: The maps do not fit.
        """
        if visual.dim() != 4 or visual.shape != spatial.shape or visual.shape[1] != self.channels:
            raise ShapeError(
                f'FeatureFusionModule: built for two maps (B, {self.channels}, H, W), got visual '
                f'{tuple(visual.shape)} and spatial {tuple(spatial.shape)}.'
            )
        hidden = self.relu(self.bn1(self.conv1(visual + spatial)))
        hidden = self.relu(self.bn2(self.conv2(hidden)))
        out: Tensor = self.relu(self.bn3(self.conv3(hidden)))
        return out

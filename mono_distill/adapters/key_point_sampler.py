"""Features of a bird's-eye-view map at the key points of boxes (UniDistill, CVPR 2023)."""

from __future__ import annotations

from torch import Tensor, nn

from mono_distill.ops.box_points import bev_key_points
from mono_distill.ops.point_sampler import Range, check_range, sample_bev
from mono_distill.registry import MODELS


@MODELS.register_module()
class BEVKeyPointSampler(nn.Module):
    """Reads a map at nine points of every box; without parameters, but with a gradient to the map.

    For :class:`mono_distill.losses.KeyPointFeatureLoss` and :class:`mono_distill.losses.KeyPointRelationLoss`, once for
    the student and once for the teacher, whose maps may have different cells. A pure function of its input, an adapter
    only because targets carry no gradient.

    Args:
        x_range: x of the left edge of column 0 and of the right edge of the last column of the map, in metres.
        y_range: The same for the rows.

    Raises:
        ConfigError: A range is empty.
        ShapeError: On call: map or boxes do not fit.

    Example:
        >>> import torch
        >>> sample = BEVKeyPointSampler(x_range=(-8.0, 8.0), y_range=(-8.0, 8.0))
        >>> sample(torch.randn(2, 5, 16, 16), torch.randn(2, 3, 7)).shape
        torch.Size([2, 3, 9, 5])
    """

    def __init__(self, x_range: Range, y_range: Range) -> None:
        super().__init__()
        check_range(x_range, 'x_range')
        check_range(y_range, 'y_range')
        # Configs hold lists.
        self.x_range = (x_range[0], x_range[1])
        self.y_range = (y_range[0], y_range[1])

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Sample every box.

        Args:
            features: Map ``(B, C, H, W)``, H along y and W along x.
            boxes: ``(B, N, 7)`` or more columns: x, y, z, dx, dy, dz, yaw in metres and radians, in the frame of the
                map.

        Returns:
            ``(B, N, 9, C)``; zeros at points outside of the map.
        """
        return sample_bev(features, bev_key_points(boxes.detach()), x_range=self.x_range, y_range=self.y_range)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'x_range={self.x_range}, y_range={self.y_range}'

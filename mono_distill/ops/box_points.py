"""Points of rotated boxes seen from above."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.utils.errors import ShapeError


def bev_key_points(boxes: Tensor) -> Tensor:
    r"""Nine points of every box on the ground plane: four corners, four middles of edges, the centre.

    UniDistill (CVPR 2023) compares features at these points. In the frame of the box, forward :math:`a` and left
    :math:`b`, a point is :math:`(x + a \cos\theta - b \sin\theta,\; y + a \sin\theta + b \cos\theta)`.

    Args:
        boxes: ``(B, N, 7)`` or more columns, any number of leading dimensions: x, y, z, dx, dy, dz, yaw in metres and
            radians, as mmdet3d's LiDAR boxes (dx along the heading, yaw counter-clockwise from the x axis).

    Returns:
        ``(B, N, 9, 2)``, x and y in metres: front left, rear left, rear right, front right, the middles of the left,
        rear, right and front edge, the centre.

    Raises:
        ShapeError: The boxes have fewer than seven columns.

    Example:
        >>> box = torch.tensor([[[10.0, 5.0, 0.0, 4.0, 2.0, 1.5, 0.0]]])
        >>> bev_key_points(box)[0, 0, [0, 2, 7, 8]]
        tensor([[12.,  6.],
                [ 8.,  4.],
                [12.,  5.],
                [10.,  5.]])
    """
    if boxes.dim() < 2 or boxes.shape[-1] < 7:
        raise ShapeError(
            f'bev_key_points: expected boxes (B, N, 7) or more columns (x, y, z, dx, dy, dz, yaw), got '
            f'{tuple(boxes.shape)}.'
        )
    centre, sides, yaw = boxes[..., :2], boxes[..., 3:5] / 2, boxes[..., 6]
    cos, sin = yaw.cos(), yaw.sin()
    ahead = torch.stack([cos, sin], -1) * sides[..., :1]
    left = torch.stack([-sin, cos], -1) * sides[..., 1:]
    offsets = [ahead + left, left - ahead, -ahead - left, ahead - left, left, -ahead, -left, ahead]
    # Built from sums, not from a table of signs: that would be copied to the device while the host waits.
    return centre.unsqueeze(-2) + torch.stack([*offsets, torch.zeros_like(left)], -2)

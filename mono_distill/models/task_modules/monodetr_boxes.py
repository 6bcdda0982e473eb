"""The 2D side of MonoDETR's boxes: a projected 3D centre and its distances to the four edges of the 2D box."""

from __future__ import annotations

import torch
from torch import Tensor


def edges_to_corners(boxes: Tensor) -> Tensor:
    """Turn (cx, cy, l, r, t, b) into (x1, y1, x2, y2), in the same units.

    Args:
        boxes: (..., 6): centre, then distances to the left, right, top and bottom edge.

    Returns:
        (..., 4).

    Example:
        >>> edges_to_corners(torch.tensor([10.0, 20.0, 1.0, 2.0, 3.0, 4.0]))
        tensor([ 9., 17., 12., 24.])
    """
    center, near, far = boxes[..., :2], boxes[..., 2::2], boxes[..., 3::2]
    return torch.cat([center - near, center + far], dim=-1)


def corners_to_edges(corners: Tensor, centers: Tensor) -> Tensor:
    """Invert :func:`edges_to_corners` for given centres.

    Args:
        corners: (..., 4) x1, y1, x2, y2.
        centers: (..., 2).

    Returns:
        (..., 6). Distances are negative where the centre lies outside of its box.

    Example:
        >>> corners_to_edges(torch.tensor([9.0, 17.0, 12.0, 24.0]), torch.tensor([10.0, 20.0]))
        tensor([10., 20.,  1.,  2.,  3.,  4.])
    """
    near, far = centers - corners[..., :2], corners[..., 2:] - centers
    return torch.cat([centers, torch.stack([near, far], dim=-1).flatten(-2)], dim=-1)

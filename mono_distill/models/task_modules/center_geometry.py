"""Small tensor functions shared by the CenterNet-style encoder, coder and head."""

from __future__ import annotations

import torch
from torch import Tensor

# The inverse sigmoid depth of MonoDLE and MonoDETR: z = 1 / (sigmoid(x) + eps) - 1 = exp(-x) for eps = 0.
DEPTH_EPS = 1e-6


def depth_from_logit(logit: Tensor) -> Tensor:
    """Return the depth in metres that a raw network output stands for, about 0 to 1e6.

    Example:
        >>> depth_from_logit(torch.tensor([0.0, -3.0]))
        tensor([ 1.0000, 20.0851])
    """
    return 1 / (logit.sigmoid() + DEPTH_EPS) - 1


def gather_at(feature_map: Tensor, indices: Tensor) -> Tensor:
    """Read a map at flat positions.

    Unlike mmdet's ``transpose_and_gather_feat`` it does not copy the whole map into channel-last order first.

    Args:
        feature_map: (B, C, H, W).
        indices: ``y * W + x``, (B, N), int64.

    Returns:
        (B, N, C).

    Example:
        >>> gather_at(torch.arange(4.0).view(1, 1, 2, 2), torch.tensor([[3, 0]])).flatten()
        tensor([3., 0.])
    """
    channels = feature_map.shape[1]
    return feature_map.flatten(2).gather(2, indices.unsqueeze(1).expand(-1, channels, -1)).transpose(1, 2)


def render_gaussians(
    peaks: Tensor, radii: Tensor, labels: Tensor, valid: Tensor, shape: tuple[int, int, int]
) -> Tensor:
    """Draw truncated Gaussians with peak 1 and sigma = (2r + 1) / 6, taking the maximum where they overlap.

    Args:
        peaks: Integer (x, y) positions (B, N, 2).
        radii: Integer radii (B, N); a Gaussian covers the square of 2r + 1 pixels.
        labels: Class of each object (B, N), int64, in [0, C) where ``valid``.
        valid: Objects to draw (B, N), boolean.
        shape: (C, H, W) of the maps.

    Returns:
        Heatmaps (B, C, H, W), float32.
    """
    num_classes, height, width = shape
    radii = radii.float().unsqueeze(-1)
    sigma = (2 * radii + 1) / 6

    def profile(center: Tensor, size: int) -> Tensor:
        offset = torch.arange(size, device=peaks.device) - center.unsqueeze(-1)
        return torch.exp(-offset.square() / (2 * sigma.square())) * (offset.abs() <= radii)

    rows = profile(peaks[..., 1], height) * valid.unsqueeze(-1)
    columns = profile(peaks[..., 0], width)
    gaussians = rows.unsqueeze(-1) * columns.unsqueeze(-2)
    index = torch.where(valid, labels, 0)[..., None, None].expand_as(gaussians)
    heatmap = gaussians.new_zeros(len(peaks), num_classes, height, width)
    return heatmap.scatter_reduce_(1, index, gaussians, reduce='amax')

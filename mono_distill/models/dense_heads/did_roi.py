"""What the second stage of DID-M3D sees of an object, and the branches that look at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.losses.masked import as_float32
from mono_distill.models.dense_heads.masked_batch_norm import MaskedBatchNorm2d
from mono_distill.models.task_modules.did_geometry import PixelGeometry
from mono_distill.ops.roi_align import roi_align

# Branches that give one value per object, and those that give one value per bin of its box.
POOLED_BRANCHES = {'offset_3d': 2, 'size_3d': 3, 'heading': 24}
BIN_BRANCHES = ('vis_depth', 'att_depth', 'vis_depth_uncer', 'att_depth_uncer')
NUM_COORDINATES = 2


class RoIs(NamedTuple):
    """Boxes of the second stage.

    Attributes:
        features: ``(B, N, C + 2 + classes, bins, bins)``.
        depth_scale: ``(B, N)``, input pixels per pixel of the original image, vertically.
    """

    features: Tensor
    depth_scale: Tensor


def read_rois(
    feat: Tensor, boxes: Tensor, labels: Tensor, geometry: PixelGeometry, *, num_classes: int, bins: int, stride: int
) -> RoIs:
    """Pool the features in boxes and add where they look and what they are.

    Args:
        feat: Map ``(B, C, H, W)``.
        boxes: ``(B, N, 4)`` xyxy in cells. They pass gradient through the coordinates, not through the pooling.
        labels: ``(B, N)`` int64 in [0, num_classes).
        geometry: Of the input images.
        num_classes: Classes.
        bins: Rows and columns of bins.
        stride: Input pixels per cell.

    Returns:
        Features followed by the x and y at 1 m depth of the rays (linear between the corners of the box, which belong
        to the first and the last bin) and the class as one-hot.
    """
    pooled = roi_align(feat, boxes.detach(), bins, aligned=False)
    corners = boxes * stride
    coordinates = _coordinate_maps(geometry.rays(corners[..., :2]), geometry.rays(corners[..., 2:]), bins)
    classes = F.one_hot(labels, num_classes).to(pooled.dtype)[..., None, None].expand(-1, -1, -1, bins, bins)
    features = torch.cat([pooled, coordinates.to(pooled.dtype), classes], dim=2)
    height = (boxes[..., 3] - boxes[..., 1]) * stride
    in_image = height * geometry.image_scale[:, None, 1]
    return RoIs(features, height.clamp(min=1) / in_image.clamp(min=1))


def _coordinate_maps(first: Tensor, last: Tensor, bins: int) -> Tensor:
    """Return x and y ``(B, N, 2, bins, bins)`` between two corners ``(B, N, 2)``."""
    steps = torch.linspace(0, 1, bins, device=first.device, dtype=first.dtype)
    x, y = (first.unsqueeze(-1) + (last - first).unsqueeze(-1) * steps).unbind(2)
    shape = (*x.shape, bins)
    return torch.stack([x.unsqueeze(-2).expand(shape), y.unsqueeze(-1).expand(shape)], dim=2)


def pooled_branch(in_channels: int, feat_channels: int, out_channels: int) -> nn.Sequential:
    """Make a branch with one output per object: conv3x3, norm, ReLU, mean, conv1x1."""
    return nn.Sequential(
        nn.Conv2d(in_channels, feat_channels, 3, padding=1),
        MaskedBatchNorm2d(feat_channels),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(feat_channels, out_channels, 1),
    )


def bin_branch(in_channels: int, feat_channels: int) -> nn.Sequential:
    """Make a branch with one output per bin: conv3x3, leaky ReLU, conv1x1."""
    return nn.Sequential(
        nn.Conv2d(in_channels, feat_channels, 3, padding=1),
        nn.LeakyReLU(0.01),
        nn.Conv2d(feat_channels, 1, 1),
    )


def run_branches(branches: dict[str, nn.Sequential], features: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Run all branches on the boxes, the first convolutions as one.

    Args:
        branches: Branch name to what :func:`pooled_branch` or :func:`bin_branch` made.
        features: ``(S, C, bins, bins)``.
        valid: ``(S,)`` bool, boxes that count in the statistics of the norms.

    Returns:
        Per branch ``(S, channels)`` or, for :data:`BIN_BRANCHES`, ``(S, bins, bins)``; single precision at least.
    """
    first: list[Any] = [branch[0] for branch in branches.values()]
    weight = torch.cat([conv.weight for conv in first])
    bias = torch.cat([conv.bias for conv in first])
    hidden = F.conv2d(features, weight, bias, padding=1).split([conv.out_channels for conv in first], dim=1)
    outs = {}
    for (name, branch), part in zip(branches.items(), hidden, strict=True):
        if name in BIN_BRANCHES:
            value = _in_single_precision(branch[2], branch[1](part)).squeeze(1)
        else:
            value = _in_single_precision(branch[4], branch[3](branch[2](branch[1](part, valid)))).flatten(1)
        outs[name] = value
    return outs


def used_slots(counts: Sequence[int] | None, valid: Tensor) -> Tensor | None:
    """Return the flat positions of the first ``counts`` slots of each image, or None for all of them.

    Example:
        >>> used_slots([2, 1], torch.tensor([[True, True, False], [True, False, False]]))
        tensor([0, 1, 3])
    """
    images, slots = valid.shape
    if counts is None or min(counts) == slots:
        return None
    positions = [image * slots + slot for image in range(images) for slot in range(counts[image])]
    # Without any object the branches still run on one slot, so that every parameter gets a gradient.
    index = torch.tensor(positions or [0])
    if valid.is_cuda:
        index = index.pin_memory()
    return index.to(valid.device, non_blocking=True)


def _in_single_precision(conv: Any, values: Tensor) -> Tensor:
    """Run the last convolution in single precision: depth is exp(-output), and bfloat16 resolves that to 1.6 to 3 %."""
    with torch.autocast(values.device.type, enabled=False):
        result: Tensor = conv(as_float32(values).to(conv.weight.dtype))
    return result

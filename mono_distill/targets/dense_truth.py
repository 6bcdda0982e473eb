"""Annotations painted as the maps a perfect MonoDLE head would give: the control for dense supervision."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.ops.box_masks import gaussian_radius
from mono_distill.registry import MODELS

_BINS = 12
# Logit of the annotated heading bin against 0 of the others: a probability of 1 - 1e-8, short of infinities.
_BIN_LOGIT = 20.0


def dense_truth_maps(targets: Mapping[str, Tensor], *, stride: int = 4) -> dict[str, Tensor]:
    """Paint the annotated objects of a batch into the maps of a MonoDLE-type head.

    A teacher's dense responses bring two things: its knowledge, and supervision at every pixel of the square around an
    object instead of one. This has the second without the first: given to
    :class:`~mono_distill.losses.MonoDLEResponseLoss` in place of a teacher, it is the control for it.

    Every pixel of the square around the centre of an object (:func:`mono_distill.ops.gaussian_square_masks`) says what
    a perfect head says there: the offsets from this pixel, the size, depth and heading of the object. Where squares
    overlap the nearer object wins. Pixels outside are 0.

    Args:
        targets: Output of :class:`~mono_distill.models.CenterNetTargetEncoder`.
        stride: Input pixels per pixel of the maps.

    Returns:
        ``offset_2d``, ``size_2d``, ``offset_3d`` (B, 2, H, W) in cells, ``size_3d`` (B, 3, H, W) metres, ``depth`` (B,
        1, H, W) raw depth as the head gives it, and ``heading`` (B, 24, H, W).

    Raises:
        ConfigError: A target is missing.
        ShapeError: A target has the wrong shape.
    """
    heat = targets['heatmap']
    batch, _, height, width = heat.shape
    slots = (batch, targets['indices'].shape[1])
    shapes: dict[str, tuple[int | None, ...]] = {
        **dict.fromkeys(('indices', 'mask_2d', 'depth', 'heading_bin', 'heading_res'), slots),
        **dict.fromkeys(('offset_2d', 'size_2d', 'offset_3d'), (*slots, 2)),
        'size_3d': (*slots, 3),
        'bboxes': (*slots, 4),
    }
    require_tensors(targets, shapes, owner='dense_truth_maps: targets')
    x, y = torch.meshgrid(
        torch.arange(width, device=heat.device), torch.arange(height, device=heat.device), indexing='xy'
    )
    owner, painted = _nearest_object(targets, x, y, stride)

    def spread(name: str) -> Tensor:
        """Give every pixel the value of its object: (B, N, C) to (B, C, H, W)."""
        values = targets[name].flatten(2) if targets[name].dim() > 2 else targets[name].unsqueeze(-1)
        index = owner.flatten(1).unsqueeze(-1).expand(-1, -1, values.shape[-1])
        return values.gather(1, index).transpose(1, 2).unflatten(2, (height, width))

    index = spread('indices')
    # From the pixel to the object's cell: offsets are relative to the pixel that predicts them.
    to_cell = torch.cat([index % width - x, index // width - y], dim=1).to(heat.dtype)
    heading_bin = spread('heading_bin')[:, 0]
    one_hot = nn.functional.one_hot(heading_bin, _BINS).permute(0, 3, 1, 2).to(heat.dtype)
    maps = {
        'offset_2d': spread('offset_2d') + to_cell,
        'size_2d': spread('size_2d'),
        'offset_3d': spread('offset_3d') + to_cell,
        'size_3d': spread('size_3d'),
        # The inverse of exp(-x), which the head's depth is.
        'depth': -spread('depth').clamp(min=1e-3).log(),
        'heading': torch.cat([one_hot * _BIN_LOGIT, one_hot * spread('heading_res')], dim=1),
    }
    return {name: torch.where(painted.unsqueeze(1), value, 0.0) for name, value in maps.items()}


def _nearest_object(targets: Mapping[str, Tensor], x: Tensor, y: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Slot of the nearest object whose square covers each pixel (B, H, W), and whether there is one."""
    x1, y1, x2, y2 = (targets['bboxes'] / stride).unbind(-1)
    radius = gaussian_radius((y2 - y1).double(), (x2 - x1).double()).trunc().clamp(min=0)
    radius = torch.where(targets['mask_2d'], radius, -1)[..., None, None]
    centre_x, centre_y = (((low + high) / 2).trunc()[..., None, None] for low, high in ((x1, x2), (y1, y2)))
    covered = ((x - centre_x).abs() <= radius) & ((y - centre_y).abs() <= radius)
    depth = torch.where(covered, targets['depth'][..., None, None], torch.inf)
    nearest = depth.min(dim=1)
    return nearest.indices, covered.any(dim=1)


@MODELS.register_module()
class DenseTruthMaps(nn.Module):
    """Module form of :func:`dense_truth_maps`, for the ``targets`` of a distiller.

    Args:
        stride: Input pixels per pixel of the maps.
    """

    def __init__(self, stride: int = 4) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See :func:`dense_truth_maps`."""
        return dense_truth_maps(targets, stride=self.stride)

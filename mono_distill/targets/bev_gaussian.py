"""Gaussians around the objects of a bird's-eye-view map, as weights of its cells (BEVDistill, UniDistill)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mono_distill.ops.gaussian_heatmap import gaussian_heatmaps, heatmap_radii
from mono_distill.ops.point_sampler import Range, check_range, points_in_range
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError


def bev_gaussian_mask(
    boxes: Tensor,
    valid: Tensor | None = None,
    *,
    size: tuple[int, int],
    x_range: Range,
    y_range: Range,
    min_overlap: float = 0.1,
    min_radius: int = 1,
) -> Tensor:
    r"""Draw CenterNet's Gaussian around every object; where several overlap, the largest value counts.

    The centre is the cell that holds the centre of the box, the radius that of the box's sides in cells
    (:func:`mono_distill.ops.heatmap_radii`), whatever its heading. Objects whose centre is not on the map are left out.
    BEVDistill takes an overlap of 0.1 and a radius of at least 1 (``bev_distiller.py`` lines 286-324), UniDistill 0.7
    and 0 (``...camera_exp_distill_lidar.py`` lines 326-385).

    Args:
        boxes: ``(B, N, 7)`` or more columns: x, y, z, dx, dy, dz, yaw in metres and radians, in the frame of the map.
        valid: ``(B, N)`` bool, the boxes to draw; the others may hold anything. ``None`` draws all.
        size: Map ``(H, W)``, H along y and W along x.
        x_range: x of the left edge of column 0 and of the right edge of the last column, in metres.
        y_range: The same for the rows.
        min_overlap: The overlap (IoU) a box shifted by the radius keeps.
        min_radius: Lower bound of the radius in cells.

    Returns:
        ``(B, H, W)`` float32 in [0, 1], 1 at the centres.

    Raises:
        ShapeError: The boxes or ``valid`` have another shape.
        ConfigError: An overlap, a radius or a range does not exist.

    Example:
        >>> box = torch.tensor([[[2.5, 0.5, 0.0, 1.0, 1.0, 1.5, 0.0]]])
        >>> bev_gaussian_mask(box, size=(2, 4), x_range=(0.0, 4.0), y_range=(0.0, 2.0))
        tensor([[[0.0000, 0.1353, 1.0000, 0.1353],
                 [0.0000, 0.0183, 0.1353, 0.0183]]])
    """
    _check_gaussian(min_overlap, min_radius)
    check_range(x_range, 'x_range')
    check_range(y_range, 'y_range')
    if boxes.dim() != 3 or boxes.shape[2] < 7:
        raise ShapeError(f'bev_gaussian_mask: expected boxes (B, N, 7) or more columns, got {tuple(boxes.shape)}.')
    if valid is not None and valid.shape != boxes.shape[:2]:
        raise ShapeError(
            f'bev_gaussian_mask: valid has shape {tuple(valid.shape)}, but the boxes are {tuple(boxes.shape)}.'
        )
    centres = boxes[..., :2].detach().float()
    drawn = points_in_range(centres, x_range=x_range, y_range=y_range)
    if valid is not None:
        drawn = drawn & valid
    # Slots that are not drawn may hold NaN, which has no integer.
    kept = drawn.unsqueeze(2)
    # Axis by axis: a tensor of the ranges would be copied from the host in every step.
    scales = size[1] / (x_range[1] - x_range[0]), size[0] / (y_range[1] - y_range[0])
    places = [(centres[..., axis] - low) * scales[axis] for axis, low in enumerate((x_range[0], y_range[0]))]
    cells = torch.where(kept, torch.stack(places, -1), 0.0).floor().long()
    extents = [boxes[..., 3 + axis].detach().float() * scale for axis, scale in enumerate(scales)]
    sides = torch.where(kept, torch.stack(extents, -1), 0.0)
    radii = heatmap_radii(sides[..., 1], sides[..., 0], min_overlap=min_overlap, min_radius=min_radius)
    return gaussian_heatmaps(cells, radii, size, valid=drawn)[:, 0]


def _check_gaussian(min_overlap: float, min_radius: int) -> None:
    if not 0 < min_overlap < 1:
        raise ConfigError(f'bev_gaussian_mask: min_overlap must lie between 0 and 1, got {min_overlap}.')
    if min_radius < 0:
        raise ConfigError(f'bev_gaussian_mask: min_radius must not be negative, got {min_radius} cells.')


@MODELS.register_module()
class BEVGaussianMask(nn.Module):
    """Module form of :func:`bev_gaussian_mask`, for the ``targets`` of a distiller.

    Args:
        size: Map ``(H, W)``.
        x_range: x of the left edge of column 0 and of the right edge of the last column, in metres.
        y_range: The same for the rows.
        min_overlap: The overlap (IoU) a box shifted by the radius keeps.
        min_radius: Lower bound of the radius in cells.
    """

    def __init__(
        self,
        size: tuple[int, int],
        x_range: Range,
        y_range: Range,
        *,
        min_overlap: float = 0.1,
        min_radius: int = 1,
    ) -> None:
        super().__init__()
        _check_gaussian(min_overlap, min_radius)
        check_range(x_range, 'x_range')
        check_range(y_range, 'y_range')
        # Configs hold lists.
        self.size = (size[0], size[1])
        self.x_range = (x_range[0], x_range[1])
        self.y_range = (y_range[0], y_range[1])
        self.min_overlap = min_overlap
        self.min_radius = min_radius

    def forward(self, boxes: Tensor, valid: Tensor | None = None) -> Tensor:
        """See :func:`bev_gaussian_mask`."""
        return bev_gaussian_mask(
            boxes,
            valid,
            size=self.size,
            x_range=self.x_range,
            y_range=self.y_range,
            min_overlap=self.min_overlap,
            min_radius=self.min_radius,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'size={self.size}, x_range={self.x_range}, y_range={self.y_range}, min_overlap={self.min_overlap}, '
            f'min_radius={self.min_radius}'
        )

"""CenterNet's Gaussian heatmaps, all objects at once."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.ops.box_masks import gaussian_radius
from mono_distill.utils.errors import ConfigError, ShapeError

# Pairs of object and pixel that are looked at together: bounds the memory.
CHUNK = 1 << 23


def heatmap_radii(heights: Tensor, widths: Tensor, *, min_overlap: float, min_radius: int = 0) -> Tensor:
    """Whole radius of the Gaussian of each box: :func:`gaussian_radius`, truncated, at least ``min_radius``.

    Args:
        heights: Heights of boxes in map pixels, any shape, not negative. The radius is truncated, so the last bit of
            these numbers may matter; mmdet3d's heads compute in float32.
        widths: Widths, the same shape.
        min_overlap: The overlap (IoU) to keep; 0.7 in image heads, 0.1 in CenterPoint.
        min_radius: Lower bound; 2 in CenterPoint.

    Returns:
        int64 radii in map pixels, the same shape.

    Raises:
        ConfigError: ``min_radius`` is negative.

    Example:
        >>> heatmap_radii(torch.tensor([10.0, 1.0]), torch.tensor([20.0, 1.0]), min_overlap=0.7, min_radius=2)
        tensor([3, 2])
    """
    if min_radius < 0:
        raise ConfigError(
            f'heatmap_radii: min_radius must not be negative, got {min_radius}; 0 draws the centre alone.'
        )
    return gaussian_radius(heights, widths, min_overlap).clamp(min=min_radius).long()


def gaussian_heatmaps(
    centres: Tensor,
    radii: Tensor,
    size: tuple[int, int],
    *,
    classes: Tensor | None = None,
    num_classes: int = 1,
    valid: Tensor | None = None,
    max_radius: int | None = None,
) -> Tensor:
    r"""Draw a Gaussian around every object; where several overlap, the largest value counts.

    .. math:: Y(x, y) = \max_n \exp\left(-\frac{(x - x_n)^2 + (y - y_n)^2}{2 \sigma_n^2}\right)
        \quad\text{for } |x - x_n|, |y - y_n| \le r_n, \qquad \sigma_n = \frac{2 r_n + 1}{6}

    Equal to calling mmdet3d's ``draw_heatmap_gaussian`` for object after object. That function also sets values below
    the float64 epsilon to zero, which never happens: a corner of the square has :math:`e^{-9}` at least.

    Args:
        centres: ``(B, N, 2)`` x and y of whole map pixels. Centres outside of the map draw the part of their square
            that is on it.
        radii: ``(B, N)`` whole pixels, not negative.
        size: Map ``(H, W)``.
        classes: ``(B, N)`` integers in ``0 .. num_classes - 1``, which map each object is drawn on; ``None`` for 0.
        num_classes: Number of maps K.
        valid: ``(B, N)`` bool, the objects to draw; the others may hold anything. ``None`` draws all.
        max_radius: A bound of the radii, which saves looking at pixels beyond; what reaches further is cut off.
            ``None`` reads it off ``radii`` on a CPU; elsewhere, where the host would have to wait for that, all
            pixels are looked at.

    Returns:
        ``(B, K, H, W)`` float32.

    Raises:
        ShapeError: The shapes of the arguments do not fit.

    Example:
        >>> gaussian_heatmaps(torch.tensor([[[1, 0]]]), torch.tensor([[1]]), (2, 4))[0, 0]
        tensor([[0.1353, 1.0000, 0.1353, 0.0000],
                [0.0183, 0.1353, 0.0183, 0.0000]])
    """
    batch, count = _checked(centres, radii, classes, valid)
    classes = torch.zeros_like(radii, dtype=torch.int64) if classes is None else classes.long()
    valid = torch.ones_like(radii, dtype=torch.bool) if valid is None else valid
    reach = _reach(radii, valid, max_radius)
    # Slots that are not drawn may hold anything, so they get numbers that cannot do harm.
    centres = torch.where(valid.unsqueeze(-1), centres, 0).long()
    radii, classes = torch.where(valid, radii, 0).long(), torch.where(valid, classes, 0)
    heatmaps = torch.zeros(batch, num_classes * size[0] * size[1], device=centres.device)
    columns, across, near_columns = _places(centres[..., 0], radii, valid, size[1], reach)
    rows, down, near_rows = _places(centres[..., 1], radii, valid, size[0], reach)
    rows = (classes.unsqueeze(2) * size[0] + rows) * size[1]
    step = max(1, CHUNK // max(1, batch * rows.shape[2] * columns.shape[2]))
    for begin in range(0, count, step):
        part = slice(begin, begin + step)
        value = (down[:, part].unsqueeze(3) + across[:, part].unsqueeze(2)).exp().float()
        near = near_rows[:, part].unsqueeze(3) & near_columns[:, part].unsqueeze(2)
        place = rows[:, part].unsqueeze(3) + columns[:, part].unsqueeze(2)
        heatmaps.scatter_reduce_(1, place.flatten(1), torch.where(near, value, 0).flatten(1), 'amax')
    return heatmaps.view(batch, num_classes, *size)


def _places(
    centres: Tensor, radii: Tensor, valid: Tensor, length: int, reach: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows (or columns) to look at for each object, their part of the exponent, and whether they are near.

    All are ``(B, N, P)``, and the rows lie on the map.
    """
    if reach is None or 2 * reach + 1 >= length:
        places = torch.arange(length, device=centres.device).expand(*centres.shape, length)
    else:
        places = centres.unsqueeze(2) + torch.arange(-reach, reach + 1, device=centres.device)
    distance = places - centres.unsqueeze(2)
    near = (distance.abs() <= radii.unsqueeze(2)) & (places >= 0) & (places < length) & valid.unsqueeze(2)
    # float64, rounded at the end, as officially: distance^2 / (2 sigma^2) with sigma = (2 r + 1) / 6.
    exponent = -(distance * distance).double() * (18 / (2 * radii.unsqueeze(2).double() + 1) ** 2)
    return places.clamp(0, length - 1), exponent, near


def _reach(radii: Tensor, valid: Tensor, max_radius: int | None) -> int | None:
    """How far around the centres to look; ``None`` for all of the map."""
    # A graph under compilation must not depend on values.
    if max_radius is not None or radii.device.type != 'cpu' or torch.compiler.is_compiling() or not radii.numel():
        return max_radius
    return int(torch.where(valid, radii, 0).max())


def _checked(centres: Tensor, radii: Tensor, classes: Tensor | None, valid: Tensor | None) -> tuple[int, int]:
    if centres.dim() != 3 or centres.shape[-1] != 2:
        raise ShapeError(f'gaussian_heatmaps: expected centres (B, N, 2), got {tuple(centres.shape)}.')
    for name, tensor in [('radii', radii), ('classes', classes), ('valid', valid)]:
        if tensor is not None and tensor.shape != centres.shape[:2]:
            raise ShapeError(
                f'gaussian_heatmaps: {name} {tuple(tensor.shape)} must be {tuple(centres.shape[:2])}, as the centres.'
            )
    return centres.shape[0], centres.shape[1]

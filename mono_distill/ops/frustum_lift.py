"""Image features lifted to voxels by trilinear sampling of the frustum, without the frustum volume."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mono_distill.ops.weighted_bags import BagPlan, bag_plan, weighted_bag_sum
from mono_distill.utils.errors import ShapeError


class FrustumLiftIndices(NamedTuple):
    """Which pixels and depth bins each voxel is made of; made once per calibration by :func:`frustum_lift_indices`.

    Attributes:
        plan: Pixels to voxels, in the orders for forward and backward; up to four pixels a voxel.
        near: ``(P,)`` position of the nearer depth bin of each entry in the depth ``(B, h, w, D)``, int32.
        near_weights: ``(P,)`` the pixel's bilinear weight times the nearer bin's linear one.
        far_weights: ``(P,)`` the same for the bin behind.
        frustum: ``(B, D, h, w)``.
        voxels: ``(Z, Y, X)``, or whatever the shape of the coordinates was.
    """

    plan: BagPlan
    near: Tensor
    near_weights: Tensor
    far_weights: Tensor
    frustum: tuple[int, int, int, int]
    voxels: tuple[int, ...]


def frustum_lift_indices(
    coordinates: Tensor, frustum: tuple[int, int, int], *, align_corners: bool = False, compact: bool | None = None
) -> FrustumLiftIndices:
    r"""Find the corners and weights of every voxel centre in the frustum.

    Args:
        coordinates: ``(B, Z, Y, X, 3)``, where in the frustum each voxel centre lies: horizontal, vertical and depth
            position as ``torch.nn.functional.grid_sample`` takes them, -1 to 1 from border to border. Released CaDDN,
            CMKD and MonoTAKD set them to :math:`2 c / (N - 1) - 1` with c the pixel u or v and N the size of the
            *image*, and with c the continuous depth index and N the number of bins. Voxels outside, or not finite, get
            zeros.
        frustum: ``(D, h, w)``.
        align_corners: As in ``grid_sample``; CaDDN, CMKD and MonoTAKD sample with ``False``.
        compact: Whether to remove corners of weight zero (half of all voxels lie outside of the image on KITTI), which
            saves their share of the time but makes the host wait for their number. ``None`` does so on a CPU. Without
            it, a feature that is not finite reaches voxels it does not belong to.

    Raises:
        ShapeError: ``coordinates`` is not ``(B, ..., 3)``.

    Example:
        >>> centre = torch.zeros(1, 1, 1, 1, 3)
        >>> indices = frustum_lift_indices(centre, (2, 2, 2))
        >>> indices.plan.rows, indices.near_weights
        (tensor([0, 1, 2, 3], dtype=torch.int32), tensor([0.1250, 0.1250, 0.1250, 0.1250]))
    """
    if coordinates.dim() < 3 or coordinates.shape[-1] != 3:
        raise ShapeError(f'frustum_lift_indices: expected coordinates (B, Z, Y, X, 3), got {tuple(coordinates.shape)}.')
    bins, height, width = frustum
    batch, voxels = coordinates.shape[0], tuple(coordinates.shape[1:-1])
    coordinates = coordinates.detach().flatten(1, -2)
    if coordinates.dtype in (torch.float16, torch.bfloat16):
        coordinates = coordinates.float()
    columns, column_weights = _corners(coordinates[..., 0], width, align_corners)
    rows, row_weights = _corners(coordinates[..., 1], height, align_corners)
    near, depth_weights = _pair(coordinates[..., 2], bins, align_corners)
    # Four pixels a voxel: (B, V, 2 rows, 2 columns).
    image = torch.arange(batch, dtype=torch.int32, device=coordinates.device).view(-1, 1, 1, 1)
    pixels = (image * height + rows.unsqueeze(3)) * width + columns.unsqueeze(2)
    pixel_weights = row_weights.unsqueeze(3) * column_weights.unsqueeze(2)
    weights = (pixel_weights.unsqueeze(4) * depth_weights.unsqueeze(2).unsqueeze(2)).flatten(0, 3)
    position = (pixels * bins + near.unsqueeze(2).unsqueeze(2)).flatten()
    pixels = pixels.flatten()
    voxel = torch.arange(weights.shape[0], dtype=torch.int32, device=coordinates.device) // 4
    kept = (weights != 0).any(1)
    num_rows = batch * height * width
    if compact or (compact is None and coordinates.device.type == 'cpu'):
        pixels, position, weights, voxel = pixels[kept], position[kept], weights[kept], voxel[kept]
    else:
        # Evenly over all pixels: on the border, where those outside belong, a few long sums would hold up a GPU.
        spread = torch.arange(pixels.numel(), dtype=torch.int32, device=pixels.device) % num_rows
        pixels = torch.where(kept, pixels, spread)
    plan = bag_plan(pixels, voxel, num_rows=num_rows, num_bags=batch * coordinates.shape[1])
    near_weights, far_weights = weights.t().contiguous().unbind(0)
    return FrustumLiftIndices(plan, position, near_weights, far_weights, (batch, bins, height, width), voxels)


def frustum_lift(context: Tensor, depth: Tensor, indices: FrustumLiftIndices) -> Tensor:
    r"""Sample the outer product of features and depth distribution trilinearly at the voxel centres.

    The volume :math:`V_{c,d,v,u} = f_{c,v,u} \, p_{d,v,u}` of CaDDN (CVPR 2021) is a product, so the eight corners of a
    trilinear sample are four pixels whose weight depends on two depth bins each:

    .. math:: V(x)_c = \sum_{k=1}^{4} w_k \Bigl( \sum_{j=1}^{2} l_j \, p_{d_j, k} \Bigr) f_{c, k}

    This equals ``grid_sample`` on the volume with zero padding, with both gradients, without the volume (225 MB per
    sample on KITTI in float32). The indices depend on the calibration only: student and teaching assistant share them.

    Args:
        context: ``(B, C, h, w)`` features. Half precision is raised to float32.
        depth: ``(B, D, h, w)`` weights of the depth bins.
        indices: From :func:`frustum_lift_indices`.

    Returns:
        ``(B, C, Z, Y, X)`` in channels-last memory; zero for voxels outside the frustum.

    Raises:
        ShapeError: Context or depth do not fit the indices.

    Example:
        >>> indices = frustum_lift_indices(torch.zeros(1, 1, 1, 1, 3), (2, 1, 1))
        >>> depth = torch.tensor([0.5, 0.25]).view(1, 2, 1, 1)
        >>> frustum_lift(torch.full((1, 1, 1, 1), 8.0), depth, indices)
        tensor([[[[[3.]]]]])
    """
    context, depth = _checked(context, depth, indices)
    batch, bins, _, _ = indices.frustum
    # Depth last: both bins of a pixel are neighbours in memory.
    probabilities = depth.permute(0, 2, 3, 1).flatten()
    far = indices.near if bins == 1 else indices.near + 1
    near_weights, far_weights = indices.near_weights.to(depth.dtype), indices.far_weights.to(depth.dtype)
    weights = near_weights * probabilities.index_select(0, indices.near)
    weights = weights + far_weights * probabilities.index_select(0, far)
    rows = context.permute(0, 2, 3, 1).reshape(-1, context.shape[1])
    with torch.autocast(context.device.type, enabled=False):
        lifted = weighted_bag_sum(rows, weights, indices.plan)
    return lifted.view(batch, *indices.voxels, -1).movedim(-1, 1)


def frustum_lift_reference(
    context: Tensor, depth: Tensor, coordinates: Tensor, *, align_corners: bool = False
) -> Tensor:
    """:func:`frustum_lift` in the straightforward form: the whole volume, then ``grid_sample``. For comparisons.

    Args:
        context: ``(B, C, h, w)``.
        depth: ``(B, D, h, w)``.
        coordinates: ``(B, Z, Y, X, 3)``, see :func:`frustum_lift_indices`; finite.
        align_corners: As in ``grid_sample``.

    Returns:
        ``(B, C, Z, Y, X)``.
    """
    return F.grid_sample(context.unsqueeze(2) * depth.unsqueeze(1), coordinates, align_corners=align_corners)


def _checked(context: Tensor, depth: Tensor, indices: FrustumLiftIndices) -> tuple[Tensor, Tensor]:
    """Return both in one dtype of full precision, or raise an error that says what does not fit."""
    batch, _, height, width = indices.frustum
    fits = context.dim() == 4 and context.shape[0] == batch and context.shape[2:] == (height, width)
    if not fits or tuple(depth.shape) != indices.frustum:
        raise ShapeError(
            f'frustum_lift: context {tuple(context.shape)} and depth {tuple(depth.shape)}, but the indices are for '
            f'({batch}, C, {height}, {width}) and {indices.frustum}.'
        )
    dtype = torch.promote_types(torch.promote_types(context.dtype, depth.dtype), torch.float32)
    return context.to(dtype), depth.to(dtype)


def _place(coordinates: Tensor, size: int, align_corners: bool) -> Tensor:
    """Position in pixels, as grid_sample computes it; what is not finite is put outside."""
    if align_corners:
        place = (coordinates + 1) / 2 * (size - 1)
    else:
        place = ((coordinates + 1) * size - 1) / 2
    # Clamped, because the integer of a huge number is undefined; two pixels outside is outside.
    return torch.where(coordinates.isfinite(), place, -2.0).clamp(-2, size + 1)


def _corners(coordinates: Tensor, size: int, align_corners: bool) -> tuple[Tensor, Tensor]:
    """Both neighbours of each position, clipped, and their linear weights, zero outside: two ``(B, V, 2)``."""
    place = _place(coordinates, size, align_corners)
    low = place.floor()
    corners = torch.stack([low, low + 1], -1)
    weights = torch.stack([low + 1 - place, place - low], -1)
    inside = (corners >= 0) & (corners < size)
    return corners.clamp(0, size - 1).int(), torch.where(inside, weights, 0)


def _pair(coordinates: Tensor, size: int, align_corners: bool) -> tuple[Tensor, Tensor]:
    """:func:`_corners`, but as the first of two neighbours ``(B, V)``, both of which exist if ``size > 1``."""
    corners, weights = _corners(coordinates, size, align_corners)
    first = corners[..., :1].clamp(max=max(size - 2, 0))
    # At a border one of the corners is outside, with weight zero, and was clipped onto the other; the weight of that
    # other goes to the place it has counted from the shifted first.
    places = first + torch.arange(2, dtype=torch.int32, device=corners.device)
    matches = corners.unsqueeze(-2) == places.unsqueeze(-1)
    return first.squeeze(-1), (matches * weights.unsqueeze(-2)).sum(-1)

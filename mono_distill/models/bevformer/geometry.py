"""Pillars of a bird's-eye-view grid and where they appear in the cameras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mono_distill.models.view_transformers.frustum import image_matrix
from mono_distill.utils.errors import ConfigError, ShapeError

# Points nearer than this (metres along the optical axis), or behind the camera, are not seen.
MIN_DEPTH = 1e-3
# The lowest and highest point of a pillar stay so far (metres) from the limits of the range.
_MARGIN = 0.5
# Where points behind the camera are put, in widths and heights of the image: no offset of a sample leads back.
_NOWHERE = -10.0


class PillarViews(NamedTuple):
    """Pillars as the cameras see them.

    Attributes:
        locations: (B, N, Q, Z, 2) positions x, y as shares of the input image's width and height.
        visible: (B, N, Q, Z) bool, points that lie in the image of a camera.
    """

    locations: Tensor
    visible: Tensor


def pillar_points(point_range: Sequence[float], size: tuple[int, int], num_heights: int, *, like: Tensor) -> Tensor:
    """Return points at several heights above the centre of every cell, row by row.

    Heights are evenly spaced from 0.5 m above the lower to 0.5 m below the upper limit.

    Args:
        point_range: x, y, z of the lower and x, y, z of the upper corner, in metres.
        size: Rows H (along y) and columns W (along x) of the grid.
        num_heights: Points Z per pillar; a single one lies in the middle.
        like: Gives the device; the dtype is float32.

    Returns:
        (H * W, Z, 3) in metres.

    Example:
        >>> points = pillar_points((-2, -1, 0, 2, 1, 3), (1, 2), 2, like=torch.zeros(1))
        >>> points[:, :, 0].tolist(), points[0, :, 2].tolist()
        ([[-1.0, -1.0], [1.0, 1.0]], [0.5, 2.5])
    """
    x0, y0, z0, x1, y1, z1 = checked_range(point_range)
    height, width = size
    options = dict(device=like.device, dtype=torch.float32)
    x = x0 + (torch.arange(width, **options) + 0.5) * ((x1 - x0) / width)  # type: ignore[call-overload]
    y = y0 + (torch.arange(height, **options) + 0.5) * ((y1 - y0) / height)  # type: ignore[call-overload]
    ends = (z0 + _MARGIN, z1 - _MARGIN) if num_heights > 1 else ((z0 + z1) / 2,) * 2
    z = torch.linspace(*ends, num_heights, **options)  # type: ignore[call-overload]
    shape = (height, width, num_heights)
    grid = torch.stack([x[None, :, None].expand(shape), y[:, None, None].expand(shape), z.expand(shape)], dim=-1)
    return grid.flatten(0, 1)


def lidar_to_image(cam2img: Tensor, cam2lidar: Tensor, img_aug_matrix: Tensor, lidar_aug_matrix: Tensor) -> Tensor:
    r"""Matrices that project points of the augmented LiDAR frame into the augmented images.

    .. math:: (u d, v d, d)^\top = A \, K \, E^{-1} \, G^{-1} \, (x, y, z, 1)^\top

    with G the augmentation of the world, E the pose of the camera, K its intrinsics and

    .. math:: A = \begin{pmatrix} R & t \\ 0 & 1 \end{pmatrix}

    the augmentation of the image, whose shift t belongs to pixels: it is multiplied by the depth d here.

    Args:
        cam2img: (B, N, 4, 4) intrinsics of the original images.
        cam2lidar: (B, N, 4, 4) from the camera to the LiDAR frame before its augmentation.
        img_aug_matrix: (B, N, 4, 4), R in the first two rows and columns, t in the first two rows of the last column.
        lidar_aug_matrix: (B, 4, 4).

    Returns:
        (B, N, 3, 4) float32, made in float64. Nothing waits for the device.

    Raises:
        ShapeError: The shapes do not fit.
    """
    batch, cameras = cam2img.shape[:2] if cam2img.dim() == 4 else (-1, -1)
    expected = dict.fromkeys(('cam2img', 'cam2lidar', 'img_aug_matrix'), (batch, cameras, 4, 4))
    given = dict(cam2img=cam2img, cam2lidar=cam2lidar, img_aug_matrix=img_aug_matrix, lidar_aug_matrix=lidar_aug_matrix)
    for name, shape in {**expected, 'lidar_aug_matrix': (batch, 4, 4)}.items():
        if tuple(given[name].shape) != shape:
            raise ShapeError(
                f'lidar_to_image: {name} has shape {tuple(given[name].shape)}, expected (B, N, 4, 4) for N cameras, '
                f'and (B, 4, 4) for lidar_aug_matrix; cam2img is {tuple(cam2img.shape)}.'
            )
    to_camera = _affine_inverse(lidar_aug_matrix.double().unsqueeze(1) @ cam2lidar.double())
    return (image_matrix(img_aug_matrix.double()) @ cam2img.double()[..., :3, :] @ to_camera).float()


def _affine_inverse(matrices: Tensor) -> Tensor:
    """Invert (..., 4, 4) whose last row is 0, 0, 0, 1, in closed form: torch's solvers may make the host wait."""
    rows, shift = matrices[..., :3, :3], matrices[..., :3, 3:]
    first, second, third = rows.unbind(-2)
    columns = [torch.linalg.cross(a, b) for a, b in ((second, third), (third, first), (first, second))]
    volume = (first * columns[0]).sum(-1)
    inverse = torch.stack(columns, dim=-1) / volume[..., None, None]
    top = torch.cat([inverse, -inverse @ shift], dim=-1)
    return torch.cat([top, matrices[..., 3:, :]], dim=-2)


def view_pillars(points: Tensor, matrices: Tensor, image_size: tuple[int, int]) -> PillarViews:
    """Project pillars into all cameras.

    The centre of the image's first pixel has the coordinates 0, 0; its share of the width is half a pixel. Released
    BEVFormer leaves this half pixel out.

    Args:
        points: (Q, Z, 3) metres in the augmented LiDAR frame.
        matrices: (B, N, 3, 4) of :func:`lidar_to_image`.
        image_size: Height and width of the augmented images, in pixels.

    Returns:
        Locations and what is seen. Points behind a camera are put far outside of its image.

    Example:
        >>> pinhole = torch.tensor([[10.0, 0, 4, 0], [0, 10, 2, 0], [0, 0, 1, 0]]).view(1, 1, 3, 4)
        >>> views = view_pillars(torch.tensor([[[0.0, 0.0, 5.0], [0.0, 0.0, -5.0]]]), pinhole, (5, 9))
        >>> views.locations[0, 0, 0, 0], views.visible.flatten()
        (tensor([0.5000, 0.5000]), tensor([ True, False]))
    """
    height, width = image_size
    flat = torch.cat([points, points.new_ones(points.shape[:-1] + (1,))], dim=-1).flatten(0, 1)
    with torch.autocast(points.device.type, enabled=False):
        seen = (matrices @ flat.T).transpose(-1, -2).unflatten(2, points.shape[:2])
    depth = seen[..., 2]
    front = depth > MIN_DEPTH
    pixels = seen[..., :2] / depth.clamp(min=MIN_DEPTH).unsqueeze(-1) + 0.5
    # One column each: a tensor of the two numbers would make the device wait for the host.
    shares = torch.stack([pixels[..., 0] / width, pixels[..., 1] / height], dim=-1)
    inside = ((shares > 0) & (shares < 1)).all(-1)
    return PillarViews(torch.where(front.unsqueeze(-1), shares, _NOWHERE), front & inside)


def checked_range(point_range: Sequence[float]) -> tuple[float, ...]:
    """Return the six limits, or raise :class:`ConfigError` if they are no box."""
    limits = tuple(float(value) for value in point_range)
    if len(limits) != 6 or any(not low < high for low, high in zip(limits[:3], limits[3:], strict=True)):
        raise ConfigError(
            'point_range must be (x_min, y_min, z_min, x_max, y_max, z_max) with each minimum below its maximum, got '
            f'{tuple(point_range)}.'
        )
    return limits

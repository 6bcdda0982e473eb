"""Where the pixels of a multi-camera rig lie in the LiDAR frame, at given depths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mono_distill.utils.errors import ConfigError, ShapeError

FrustumMode = Literal['center', 'linspace']
MATRICES = ('cam2img', 'cam2lidar', 'img_aug_matrix')


class Cameras(NamedTuple):
    """Geometry of the cameras of one frame.

    Attributes:
        cam2img: ``(B, N, 4, 4)`` intrinsics of the image before augmentation.
        cam2lidar: ``(B, N, 4, 4)`` camera to the LiDAR frame of the current key-frame, without its augmentation.
        img_aug_matrix: ``(B, N, 4, 4)`` augmentation of the image: pixels and one, ``[:2, :2]`` and ``[:2, 3]``.
        lidar_aug_matrix: ``(B, 4, 4)`` augmentation of the LiDAR frame.
    """

    cam2img: Tensor
    cam2lidar: Tensor
    img_aug_matrix: Tensor
    lidar_aug_matrix: Tensor


def frame_cameras(inputs: Mapping[str, Tensor], frames: int | slice) -> Cameras:
    """Take the cameras of one or more frames out of a batch.

    Args:
        inputs: ``cam2img``, ``cam2lidar`` and ``img_aug_matrix`` ``(B, T, N, 4, 4)``, ``lidar_aug_matrix``
            ``(B, 4, 4)``.
        frames: A frame, or a slice of F frames, which are then folded into the batch: ``B * F``, frames fastest.

    Raises:
        ConfigError: A matrix is missing.
        ShapeError: A matrix has another shape, or another number of cameras or frames than the others.
    """
    check_matrices(inputs)
    parts = [inputs[name][:, frames] for name in MATRICES]
    world = inputs['lidar_aug_matrix']
    if isinstance(frames, slice):
        world = world.repeat_interleave(parts[0].shape[1], 0)
        parts = [part.flatten(0, 1) for part in parts]
    return Cameras(parts[0], parts[1], parts[2], world)


def check_matrices(inputs: Mapping[str, Tensor]) -> tuple[int, int, int]:
    """Return batch size, frames and cameras of a batch's matrices, or raise an error that says what does not fit.

    Raises:
        ConfigError: A matrix is missing.
        ShapeError: A matrix has another shape, or another number of cameras or frames than the others.
    """
    missing = [name for name in (*MATRICES, 'lidar_aug_matrix') if name not in inputs]
    if missing:
        raise ConfigError(
            f'view transformer: the inputs lack {", ".join(missing)}; use the transform mono_distill.PackBEVInputs and '
            "the data preprocessor mono_distill.BEVDataPreprocessor(modality='camera')."
        )
    shapes = {name: tuple(inputs[name].shape) for name in MATRICES}
    first = shapes['cam2img']
    alike = len(first) == 5 and first[3:] == (4, 4) and all(shape == first for shape in shapes.values())
    world = tuple(inputs['lidar_aug_matrix'].shape)
    if not alike or world != (first[0], 4, 4):
        raise ShapeError(
            f'view transformer: expected matrices (B, T, N, 4, 4) of the same frames and cameras and lidar_aug_matrix '
            f'(B, 4, 4), got {shapes} and {world}.'
        )
    return first[0], first[1], first[2]


def cell_pixels(
    size: tuple[int, int], downsample: int, *, mode: FrustumMode = 'center', device: torch.device | None = None
) -> Tensor:
    r"""Pixel positions u, v of the cells of a feature map, ``(h, w, 2)``, with pixel centres at whole numbers.

    ``'center'`` gives the middle of the ``downsample`` x ``downsample`` pixels of a cell,
    :math:`u = (i + \tfrac{1}{2}) s - \tfrac{1}{2}`, the pixels whose LiDAR depth supervises the cell. ``'linspace'``
    spreads the cells from the first to the last pixel, :math:`u = i (W - 1) / (w - 1)`, as the official code does
    (``bevdepth/layers/backbones/base_lss_fpn.py``, ``create_frustum``); use it only with weights trained that way.

    Args:
        size: Feature map ``(h, w)``.
        downsample: Pixels of the augmented image per cell.
        mode: ``'center'`` or ``'linspace'``.
        device: Of the result.

    Raises:
        ConfigError: ``mode`` is unknown.

    Example:
        >>> cell_pixels((1, 2), 16)[0]
        tensor([[ 7.5000,  7.5000],
                [23.5000,  7.5000]])
    """
    if mode not in ('center', 'linspace'):
        raise ConfigError(f"frustum_mode must be 'center' or 'linspace', got '{mode}'.")
    axes = []
    for cells in size:
        if mode == 'center':
            axes.append((torch.arange(cells, device=device) + 0.5) * downsample - 0.5)
        else:
            axes.append(torch.linspace(0, cells * downsample - 1, cells, device=device))
    v, u = torch.meshgrid(axes[0], axes[1], indexing='ij')
    return torch.stack([u, v], -1)


def frustum_points(pixels: Tensor, depths: Tensor, cameras: Cameras) -> Tensor:
    r"""Lift pixels of the augmented images to points of the augmented LiDAR frame.

    .. math:: p(d, u, v) = d \cdot M \, (u, v, 1)^T + t, \qquad
        M = R_G R_{c \to l} K^{-1} A^{-1}, \quad t = R_G t_{c \to l} + t_G

    with A the image augmentation as a 3x3 matrix, K the intrinsics and G the augmentation of the LiDAR frame. An image
    augmentation leaves depth as it is and K ends in (0, 0, 1), so that all matrices of a camera fold into one, applied
    once per pixel and not once per pixel and depth. In float32 (float64 stays) whatever autocast says.

    Args:
        pixels: ``(h, w, 2)`` u and v, or ``(B, N, h, w, 2)`` for other pixels in every camera.
        depths: ``(D,)`` metres along the camera's axis.
        cameras: Of B samples with N cameras each.

    Returns:
        ``(B, N, D, h, w, 3)`` x, y, z in metres.

    Example:
        >>> eye = torch.eye(4).expand(1, 1, 4, 4)
        >>> frustum_points(torch.tensor([[[3.0, 2.0]]]), torch.tensor([5.0]), Cameras(eye, eye, eye, eye[0])).flatten()
        tensor([15., 10.,  5.])
    """
    with torch.autocast(pixels.device.type, enabled=False):
        mats = [matrix if matrix.dtype == torch.float64 else matrix.float() for matrix in cameras]
        cam2img, cam2lidar, image, world = mats[0], mats[1], mats[2], mats[3].unsqueeze(1)
        turn = world[..., :3, :3]
        # inv_ex does not wait for the device to report that a matrix is singular.
        pixel2camera = torch.linalg.inv_ex(image_matrix(image) @ cam2img[..., :3, :3]).inverse
        ray = turn @ cam2lidar[..., :3, :3] @ pixel2camera
        origin = (turn @ cam2lidar[..., :3, 3:]).squeeze(-1) + world[..., :3, 3]
        pixels = pixels.to(ray.dtype)
        homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1)
        rays = (ray[:, :, None, None] @ homogeneous.unsqueeze(-1)).squeeze(-1)
        depths = depths.to(rays).view(-1, 1, 1, 1)
        return rays.unsqueeze(2) * depths + origin[:, :, None, None, None]


def image_matrix(img_aug_matrix: Tensor) -> Tensor:
    """Return an image's augmentation as the (..., 3, 3) matrix of pixels (u, v, 1).

    Args:
        img_aug_matrix: (..., 4, 4) of (u, v, depth, 1): turn in ``[:2, :2]``, shift in ``[:2, 3]``.

    Example:
        >>> matrix = torch.eye(4)
        >>> matrix[:2, 3] = torch.tensor([5.0, 7.0])
        >>> image_matrix(matrix)
        tensor([[1., 0., 5.],
                [0., 1., 7.],
                [0., 0., 1.]])
    """
    top = torch.cat([img_aug_matrix[..., :2, :2], img_aug_matrix[..., :2, 3:]], -1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 2] = 1
    return torch.cat([top, bottom], -2)

"""The numbers a camera-aware depth network is told of a camera."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.models.view_transformers.frustum import Cameras

CAMERA_VECTOR_SIZE = 27


def camera_vector(cameras: Cameras, pixel_unit: float = 1.0) -> Tensor:
    """Collect intrinsics, augmentations and pose of every camera (BEVDepth, section 4.2).

    In order: fx, fy, cx, cy; of the image augmentation ``[0, 0], [0, 1], [0, 3], [1, 0], [1, 1], [1, 3]``; of the LiDAR
    augmentation ``[0, 0], [0, 1], [1, 0], [1, 1], [2, 2]``; the upper three rows of the pose, row by row. The official
    code gives the pose in the ego frame; here everything is in the LiDAR frame.

    Args:
        cameras: B samples with N cameras.
        pixel_unit: What is measured in pixels (intrinsics, shift of the image) is divided by this.

    Returns:
        ``(B, N, 27)`` float32, or float64 if the matrices are.

    Example:
        >>> eye = torch.eye(4).expand(1, 2, 4, 4)
        >>> camera_vector(Cameras(eye, eye, eye, eye[:, 0])).shape
        torch.Size([1, 2, 27])
    """
    cam2img, pose, image = cameras.cam2img, cameras.cam2lidar, cameras.img_aug_matrix
    world = cameras.lidar_aug_matrix.unsqueeze(1).expand_as(image)
    numbers = [
        *(cam2img[..., row, column] / pixel_unit for row, column in ((0, 0), (1, 1), (0, 2), (1, 2))),
        image[..., 0, 0],
        image[..., 0, 1],
        image[..., 0, 3] / pixel_unit,
        image[..., 1, 0],
        image[..., 1, 1],
        image[..., 1, 3] / pixel_unit,
        *(world[..., row, column] for row, column in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 2))),
    ]
    return torch.cat([torch.stack(numbers, -1), pose[..., :3, :].flatten(-2)], -1)

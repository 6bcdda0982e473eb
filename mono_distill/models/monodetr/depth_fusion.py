"""MonoDETR's depth of a query: the mean of a regressed, a geometric and a sampled depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional

from mono_distill.models.task_modules.center_geometry import depth_from_logit
from mono_distill.models.task_modules.object_slots import host_values, require_meta
from mono_distill.utils.errors import ConfigError, DataError, ShapeError, did_you_mean

DEPTH_GEOMETRIES = ('exact', 'official')
_NAME = 'MonoDETRHead'
_CAMERA_SHAPES = ((3, 3), (3, 4), (4, 4))


class Cameras(NamedTuple):
    """What the size of objects says about their depth.

    Attributes:
        focal: (B,) horizontal focal length in pixels.
        height: (B,) rows of the image that the focal length belongs to.
    """

    focal: Tensor
    height: Tensor


def read_cameras(batch_img_metas: Sequence[Mapping[str, Any]] | Cameras, geometry: str, *, like: Tensor) -> Cameras:
    """Collect focal lengths and image heights; what is :class:`Cameras` already stays as it is (for ONNX graphs).

    Args:
        batch_img_metas: Per image, for ``'exact'``: ``cam2img`` of the input picture, ``crop_scale`` (default 1, the
            factor of the depth targets) and ``img_shape`` (H, W); for ``'official'``: ``ori_cam2img`` and
            ``ori_shape``.
        geometry: ``'exact'`` or ``'official'``.
        like: Gives type and device.

    Raises:
        ConfigError: ``geometry`` is unknown.
        DataError: A key is missing, or the focal length is not a positive number.
        ShapeError: A camera matrix is not 3x3, 3x4 or 4x4.

    Example:
        >>> meta = dict(ori_cam2img=np.diag([700.0, 700, 1, 1]), ori_shape=(375, 1242))
        >>> import torch
        >>> read_cameras([meta], 'official', like=torch.zeros(1))
        Cameras(focal=tensor([700.]), height=tensor([375.]))
    """
    if geometry not in DEPTH_GEOMETRIES:
        raise ConfigError(f'unknown depth_geometry {geometry!r}; {did_you_mean(geometry, DEPTH_GEOMETRIES)}')
    if isinstance(batch_img_metas, Cameras):
        return batch_img_metas
    camera, shape = ('cam2img', 'img_shape') if geometry == 'exact' else ('ori_cam2img', 'ori_shape')
    cameras = require_meta(batch_img_metas, camera, owner=_NAME)
    shapes = require_meta(batch_img_metas, shape, owner=_NAME)
    rows = []
    for meta, matrix, size in zip(batch_img_metas, cameras, shapes, strict=True):
        scale = float(meta.get('crop_scale', 1.0)) if geometry == 'exact' else 1.0
        rows.append((_focal_length(matrix, f'{camera} of {meta.get("img_path", "an image")}') * scale, float(size[0])))
    return Cameras(*host_values(rows, like=like).unbind(1))


def fuse_depths(raw: Tensor, dims: Tensor, bboxes: Tensor, *, weighted_depth: Tensor, cameras: Cameras) -> Tensor:
    r"""Average three depths (MonoDETR, ICCV 2023, section 3.4).

    .. math:: z = \tfrac{1}{3} \left( \frac{1}{\sigma(x) + 10^{-6}} - 1 + \frac{f \, h_{3D}}{\max(h_{2D}, 1)}
              + D(u, v) \right)

    with the regressed x, the height of the 3D box in metres, that of the 2D box in pixels, and the weighted depth map D
    sampled at the projected centre. No gradient flows into the position of the sample.

    Args:
        raw: (L, B, Q) regressed number x.
        dims: (L, B, Q, 3) height, width, length in metres.
        bboxes: (L, B, Q, 6) projected centre, left, right, top, bottom as shares of the input's size.
        weighted_depth: (B, h, w) metres; the corners of the image are the centres of its corner cells.
        cameras: Of the B images.

    Returns:
        (L, B, Q) metres.
    """
    height_2d = (bboxes[..., 4] + bboxes[..., 5]) * cameras.height[:, None]
    geometric = dims[..., 0] / height_2d.clamp(min=1) * cameras.focal[:, None]
    grid = (2 * bboxes[..., :2].detach() - 1).transpose(0, 1)
    sampled = functional.grid_sample(weighted_depth.unsqueeze(1).to(grid.dtype), grid, align_corners=True)
    return (depth_from_logit(raw) + geometric + sampled.squeeze(1).transpose(0, 1)) / 3


def _focal_length(matrix: Any, name: str) -> float:
    matrix = np.asarray(matrix)
    if matrix.shape not in _CAMERA_SHAPES:
        raise ShapeError(f'{name} has shape {matrix.shape}; expected a camera matrix 3x3, 3x4 or 4x4.')
    focal = float(matrix[0, 0])
    if not 0 < focal < float('inf'):
        raise DataError(f'{name} has the focal length {focal}; expected pixels above 0.')
    return focal

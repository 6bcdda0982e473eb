"""From input pixels to viewing rays and image pixels, for heads that look at one box at a time (DID-M3D, GUPNet)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from mono_distill.models.task_modules.object_slots import host_values
from mono_distill.registry import TASK_UTILS
from mono_distill.utils.errors import ConfigError, DataError, did_you_mean

PIXEL_MODES = ('exact', 'official')
_WANTED = ('ori_cam2img', 'trans_mat', 'ori_shape', 'img_shape')


@dataclass(frozen=True)
class PixelGeometry:
    """What a pixel of the network's input shows, per image and axis (x, y).

    Attributes:
        ray_scale: (B, 2); with ``ray_offset`` it maps input pixels to the camera frame's x and y at a depth of 1 m.
        ray_offset: (B, 2).
        direction_offset: (B, 2); the same without the camera's own offset: the tangent of the viewing angle.
        image_scale: (B, 2), pixels of the original image per input pixel.
    """

    ray_scale: Tensor
    ray_offset: Tensor
    direction_offset: Tensor
    image_scale: Tensor

    def rays(self, pixels: Tensor) -> Tensor:
        """Return x and y at a depth of 1 m, ``(B, N, 2)``, of input pixels ``(B, N, 2)``."""
        return pixels * self.ray_scale.unsqueeze(1) + self.ray_offset.unsqueeze(1)

    def directions(self, pixels: Tensor) -> Tensor:
        """Return ``(u - cu) / fu`` and ``(v - cv) / fv``, ``(B, N, 2)``, of input pixels ``(B, N, 2)``."""
        return pixels * self.ray_scale.unsqueeze(1) + self.direction_offset.unsqueeze(1)


@TASK_UTILS.register_module()
class PixelGeometryReader:
    r"""Read the geometry of a batch from its meta information.

    With the image pixel :math:`u`, the ray at a depth of 1 m is :math:`(u - c_u - P_{03}) / f_u`, where :math:`P` is
    the camera matrix of the image or, if it was flipped, of its mirror image. ``mode`` says how input pixels become
    image pixels:

    * ``'exact'`` (default) inverts the map that made the input (``trans_mat``).
    * ``'official'`` maps the input's width and height onto the crop window, each with its own factor, as
      ``coord_range`` does in the released DID-M3D and MonoSKD code (``lib/models/DID.py``). Their resize keeps the
      aspect ratio, so rows are off by up to 1.9 px at the upper and lower border. For released weights.

    Args:
        mode: ``'exact'`` or ``'official'``.

    Raises:
        ConfigError: If ``mode`` is unknown.
    """

    def __init__(self, mode: str = 'exact') -> None:
        if mode not in PIXEL_MODES:
            raise ConfigError(f'PixelGeometryReader: unknown mode {mode!r}; {did_you_mean(mode, PIXEL_MODES)}')
        self.mode = mode

    def __call__(self, batch_img_metas: Sequence[Mapping[str, Any]] | PixelGeometry, like: Tensor) -> PixelGeometry:
        """Compute the geometry; what is one already stays as it is (an ONNX graph computes its own).

        Args:
            batch_img_metas: Per image ``ori_cam2img`` (3x4 or 4x4), ``trans_mat`` (3x3), ``ori_shape`` and
                ``img_shape`` (height, width); ``flip``, by default False.
            like: Gives device and dtype.

        Raises:
            DataError: If a meta key is missing.
        """
        if isinstance(batch_img_metas, PixelGeometry):
            return batch_img_metas
        rows = np.stack([self._image_row(meta) for meta in batch_img_metas])
        return PixelGeometry(*host_values(rows, like=like).unbind(1))

    def _image_row(self, meta: Mapping[str, Any]) -> np.ndarray:
        """Return the four attributes of one image as (4, 2) float64."""
        lacking = [key for key in _WANTED if key not in meta]
        if lacking:
            raise DataError(
                f'the meta information of {meta.get("img_path", "an image")} lacks {lacking}; end the pipeline with '
                'mono_distill.PackMono3DInputs.'
            )
        camera = np.asarray(meta['ori_cam2img'], dtype=np.float64)
        focal, center, shift = camera[[0, 1], [0, 1]], camera[:2, 2].copy(), camera[:2, 3].copy()
        if meta.get('flip', False):
            center[0], shift[0] = meta['ori_shape'][1] - center[0], -shift[0]
        scale, offset = self._to_image(meta)
        direction = (offset - center) / focal
        return np.stack([scale / focal, direction - shift / focal, direction, scale])

    def _to_image(self, meta: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return factor and offset, per axis, of the map from input pixels to image pixels."""
        matrix = np.asarray(meta['trans_mat'], dtype=np.float64)
        factor = matrix[[0, 1], [0, 1]]
        if self.mode == 'exact':
            return 1 / factor, -matrix[:2, 2] / factor
        image, window = (np.asarray(meta[key][1::-1], dtype=np.float64) for key in ('ori_shape', 'img_shape'))
        crop = image * (window[0] / (factor[0] * image[0]))
        middle = (window / 2 - matrix[:2, 2]) / factor
        return crop / window, middle - crop / 2

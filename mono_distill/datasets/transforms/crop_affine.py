"""Random scale and shift of a camera sample, and the resize to the network's input."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mono_distill.datasets.transforms.geometry import (
    FloatArray,
    affine_boxes,
    affine_cam2img,
    affine_points,
    crop_affine,
)
from mono_distill.datasets.transforms.warp import warp_depth_map, warp_image
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError


@TRANSFORMS.register_module()
class MonoRandomCropAffine(BaseTransform):
    """Map a random window of the picture onto the network's input.

    With probability ``prob`` the window is ``clip(1 + scale * N, 1 - scale, 1 + scale)`` times the picture and shifted
    by ``clip(shift * N, -2 * shift, 2 * shift)`` of its width and height (N standard normal; drawn in the order scale,
    x, y), else it is the whole picture: with ``prob=0`` this is the plain resize of the test pipeline. The map is
    isotropic, its factor set by the width, so a picture of 1242 x 375 loses 1.2 rows of 384 at top and bottom. Official
    settings (scale, shift): MonoDETR (.05, .05); MonoDLE and DID-M3D (.4, .1); MonoDistill and MonoSTL (.4, 0).

    Boxes are not clipped and objects are not dropped. ``cam2img`` follows the picture exactly. ``gt_depths`` and the
    depth map stay in true metres; ``crop_scale`` is the factor by which MonoDLE and MonoDETR multiply depth so that it
    matches the apparent size (official code: ``aug_scale`` or ``crop_scale``). The depth map is resampled without
    blending missing pixels, see :func:`mono_distill.datasets.transforms.warp.warp_depth_map`.

    Keys read: img and, where present, depth_map, gt_bboxes, gt_centers_2d, cam2img. Keys added: trans_mat (3x3, pixels
    of the original picture, flipped or not, to input pixels), crop_scale, random_crop, img_shape.

    Args:
        size: Width and height of the network input, pixels.
        prob: Probability of a random window.
        scale: Half range and standard deviation of the relative window size.
        shift: Standard deviation of the window's offset, as a fraction of the picture.

    Raises:
        ConfigError: A size below 1, a probability outside [0, 1], or a negative or too large range.
    """

    def __init__(self, size: tuple[int, int], prob: float = 0.0, *, scale: float = 0.4, shift: float = 0.1) -> None:
        if len(size) != 2 or min(size) < 1:
            raise ConfigError(f'MonoRandomCropAffine: size must be (width, height) in pixels, got {size}')
        if not 0 <= prob <= 1 or not 0 <= scale < 1 or shift < 0:
            raise ConfigError(
                'MonoRandomCropAffine: expected 0 <= prob <= 1, 0 <= scale < 1 and shift >= 0, '
                f'got prob={prob}, scale={scale}, shift={shift}'
            )
        self.size = (int(size[0]), int(size[1]))
        self.prob, self.scale, self.shift = prob, scale, shift

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw the window and apply it to the sample."""
        if 'trans_mat' in results:
            raise ConfigError('MonoRandomCropAffine may appear only once in a pipeline')
        height, width = results['img'].shape[:2]
        random_crop = bool(np.random.random() < self.prob)
        crop_scale, shift = self._draw((width, height)) if random_crop else (1.0, (0.0, 0.0))
        results['trans_mat'] = crop_affine((width, height), self.size, crop_scale, shift)
        results['random_crop'], results['crop_scale'] = random_crop, crop_scale
        apply_affine(results, results['trans_mat'], self.size)
        results['img_shape'] = (self.size[1], self.size[0])
        return results

    def _draw(self, img_size: tuple[int, int]) -> tuple[float, tuple[float, float]]:
        crop_scale = float(np.clip(np.random.randn() * self.scale + 1, 1 - self.scale, 1 + self.scale))
        limit = 2 * self.shift
        shift_x = float(np.clip(np.random.randn() * self.shift, -limit, limit)) * img_size[0]
        shift_y = float(np.clip(np.random.randn() * self.shift, -limit, limit)) * img_size[1]
        return crop_scale, (shift_x, shift_y)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, prob={self.prob}, scale={self.scale}, shift={self.shift})'


def apply_affine(results: dict[str, Any], trans_mat: FloatArray, size: tuple[int, int]) -> None:
    """Apply an axis-aligned map to the picture, the depth map and everything measured in pixels, in place."""
    results['img'] = warp_image(results['img'], trans_mat, size)
    if 'depth_map' in results:
        results['depth_map'] = warp_depth_map(results['depth_map'], trans_mat, size)
    if 'gt_bboxes' in results:
        results['gt_bboxes'] = affine_boxes(results['gt_bboxes'], trans_mat)
    if 'gt_centers_2d' in results:
        results['gt_centers_2d'] = affine_points(results['gt_centers_2d'], trans_mat)
    if 'cam2img' in results:
        results['cam2img'] = affine_cam2img(results['cam2img'], trans_mat)

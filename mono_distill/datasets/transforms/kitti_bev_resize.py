"""Smaller pictures for small models."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mono_distill.datasets.transforms.geometry import affine_cam2img
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError


@TRANSFORMS.register_module()
class KittiBEVResize(BaseTransform):
    """Resize the picture to a width, keeping its proportions up to the rounding of its height.

    ``cam2img`` follows; pixel centres are integers, so pixel u goes to ``(u + 1/2) s - 1/2``. A depth map is not
    resized: load it never, and take the depth from the points (``KittiBEVDepth``). Published models read KITTI's
    pictures as they are and do not use this.

    Args:
        width: In pixels.

    Raises:
        ConfigError: ``width`` is not positive, or a depth map was loaded before.
    """

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ConfigError(f'KittiBEVResize: width must be positive, got {width}')
        self.width = width

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize the picture."""
        if 'depth_map' in results:
            raise ConfigError('KittiBEVResize does not resize depth maps; drop LoadDepthMap, the points hold the depth')
        height, width = results['img'].shape[:2]
        size = (self.width, max(1, round(height * self.width / width)))
        shrinks = size[0] < width
        results['img'] = cv2.resize(results['img'], size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        factors = np.array([size[0] / width, size[1] / height])
        matrix = np.diag([*factors, 1.0])
        matrix[:2, 2] = (factors - 1) / 2
        results['cam2img'] = affine_cam2img(results['cam2img'], matrix)
        results['img_shape'] = (size[1], size[0])
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(width={self.width})'

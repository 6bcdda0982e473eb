"""Horizontal flip of a sample with picture, LiDAR points, LiDAR boxes and calibration."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mono_distill.datasets.transforms.geometry import flip_cam2img
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError


@TRANSFORMS.register_module()
class KittiBEVRandomFlip(BaseTransform):
    r"""Mirror the whole sample: the LiDAR frame at y = 0, the picture at its middle, and the calibration between them.

    With :math:`M = \operatorname{diag}(1, -1, 1, 1)` for the LiDAR frame and :math:`F = \operatorname{diag}(-1, 1, 1,
    1)` for the camera frame, points go to :math:`M p`, boxes to y -> -y and yaw -> -yaw, ``lidar2cam`` to :math:`F L
    M`, which is again a rotation and a translation, and ``cam2img`` to the matrix of the mirrored camera, with the
    principal point at W - 1 - cu. A point that was seen at pixel u is then seen at W - 1 - u (KITTI's pixel centres
    are integers), where its pixel now is: exactly, although the principal point is not the middle of the picture and
    the camera is not on the mirror. Flipping picture and points alone, as mmdet3d's ``RandomFlip3D`` does for samples
    without ``centers_2d``, shifts them against each other by twice the distance of the principal point from the middle.
    The official MonoTAKD code (``pcdet/datasets/augmentor/augmentor_utils.py``) leaves the calibration alone and moves
    points and boxes to where it projects into the mirrored pixel.

    Keys read where present: img, depth_map, points, gt_bboxes_3d, cam2img, lidar2cam. Key added: flip.

    Args:
        prob: Probability of a flip.

    Raises:
        ConfigError: ``prob`` is no probability, or ``gt_depth`` was made before.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError(f'KittiBEVRandomFlip: prob must lie in [0, 1], got {prob}')
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Flip the sample with probability ``prob``."""
        if 'gt_depth' in results:
            raise ConfigError('KittiBEVRandomFlip must come before KittiBEVDepth, whose cells start at the left border')
        results['flip'] = bool(np.random.random() < self.prob)
        if results['flip']:
            flip_bev_sample(results)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


def flip_bev_sample(results: dict[str, Any]) -> None:
    """Mirror a sample in place; see :class:`KittiBEVRandomFlip`."""
    width = (results['img'] if 'img' in results else np.empty(results['ori_shape'])).shape[1]
    for key in ('img', 'depth_map'):
        if key in results:
            results[key] = cv2.flip(results[key], 1)
    if 'points' in results:
        results['points'].tensor[:, 1] *= -1
    if 'gt_bboxes_3d' in results:
        # The boxes' own flip is this one: y -> -y, yaw -> -yaw.
        results['gt_bboxes_3d'].flip('horizontal')
    if 'cam2img' in results:
        results['cam2img'] = flip_cam2img(results['cam2img'], width - 1)
    if 'lidar2cam' in results:
        lidar2cam = np.asarray(results['lidar2cam'], dtype=np.float64)
        results['lidar2cam'] = np.diag([-1.0, 1.0, 1.0, 1.0]) @ lidar2cam @ np.diag([1.0, -1.0, 1.0, 1.0])

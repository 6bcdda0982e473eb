"""Horizontal flip of a camera sample."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mono_distill.datasets.transforms.geometry import flip_boxes, flip_cam2img, wrap_angle
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError


@TRANSFORMS.register_module()
class MonoRandomFlip(BaseTransform):
    """Mirror everything a sample holds: picture, depth map, 3D and 2D boxes, centres, angles, camera and points.

    3D boxes go to ``x -> -x, ry -> pi - ry``, ``alpha -> pi - alpha``, pixels to ``u -> width - u``. ``cam2img``
    becomes the matrix of the mirrored camera (``cu -> width - cu``, ``cam2img[0, 3] -> -cam2img[0, 3]``), so that
    projecting the flipped 3D boxes still gives the flipped centres exactly. MonoDLE and MonoDETR leave the matrix
    untouched and flip only what they derived from it; DID-M3D flips it as here. Points stay in the LiDAR frame: they
    are mirrored at the camera's plane x = 0, so ``lidar2cam`` keeps its meaning.

    Keys read where present: img, depth_map, points, gt_bboxes_3d, gt_bboxes, gt_centers_2d, gt_alpha, cam2img,
    lidar2cam. Key added: flip.

    Args:
        prob: Probability of a flip.

    Raises:
        ConfigError: The picture was cropped or resized before; ``trans_mat`` describes unflipped pixels.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError(f'MonoRandomFlip: prob must lie in [0, 1], got {prob}')
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Flip the sample with probability ``prob``."""
        if 'trans_mat' in results:
            raise ConfigError('MonoRandomFlip must come before MonoRandomCropAffine in the pipeline')
        results['flip'] = bool(np.random.random() < self.prob)
        if results['flip']:
            flip_sample(results)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


def flip_sample(results: dict[str, Any]) -> None:
    """Mirror a sample in place; see :class:`MonoRandomFlip`."""
    width = results['img'].shape[1]
    for key in ('img', 'depth_map'):
        if key in results:
            results[key] = cv2.flip(results[key], 1)
    if 'gt_bboxes_3d' in results:
        results['gt_bboxes_3d'].flip('horizontal')
        results['gt_bboxes_3d'].limit_yaw(offset=0.5, period=2 * np.pi)
    if 'gt_alpha' in results:
        results['gt_alpha'] = wrap_angle(np.pi - results['gt_alpha']).astype(np.float32)
    if 'gt_bboxes' in results:
        results['gt_bboxes'] = flip_boxes(results['gt_bboxes'], width)
    if 'gt_centers_2d' in results:
        centers = results['gt_centers_2d'].copy()
        centers[:, 0] = width - centers[:, 0]
        results['gt_centers_2d'] = centers
    if 'cam2img' in results:
        results['cam2img'] = flip_cam2img(results['cam2img'], width)
    if 'points' in results:
        _flip_points(results)


def _flip_points(results: dict[str, Any]) -> None:
    """Mirror LiDAR points at the camera's plane x = 0, in LiDAR coordinates."""
    lidar2cam = np.asarray(results['lidar2cam'], dtype=np.float64)
    mirror = np.linalg.inv(lidar2cam) @ np.diag([-1.0, 1.0, 1.0, 1.0]) @ lidar2cam
    points = results['points']
    values = points.tensor if hasattr(points, 'tensor') else points
    moved = np.asarray(values[:, :3], dtype=np.float64) @ mirror[:3, :3].T + mirror[:3, 3]
    if hasattr(points, 'tensor'):
        points.tensor[:, :3] = points.tensor.new_tensor(moved)
    else:
        results['points'] = np.concatenate([moved.astype(points.dtype), points[:, 3:]], axis=1)

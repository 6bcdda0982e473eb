"""Pack a multi-view sample into tensors and a ``Det3DDataSample``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet3d.structures import Det3DDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from mono_distill.datasets.transforms.multi_view_keys import need
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

BEV_META_KEYS = (
    'sample_idx',
    'token',
    'scene_token',
    'timestamp',
    'cameras',
    'img_path',
    'lidar_path',
    'cam2img',
    'lidar2cam',
    'img_aug_matrix',
    'lidar_aug_matrix',
    'ego2global',
    'lidar2ego',
    'box_type_3d',
    'box_mode_3d',
    'frame_exists',
    'img_shape',
)
_MATRICES = ('cam2img', 'cam2lidar', 'img_aug_matrix')


@TRANSFORMS.register_module()
class PackBEVInputs(BaseTransform):
    """Pack what the pipeline produced; T frames, N cameras.

    Returns:
        ``inputs`` with imgs (T, N, 3, H, W) uint8 BGR; cam2img, cam2lidar and img_aug_matrix (T, N, 4, 4) float32;
        lidar_aug_matrix (4, 4) float32; frame_exists (T,) bool; and where the pipeline made them gt_depth (N, h, w)
        float32, points (n, 5) float32, past_points, a list of K such clouds, and past_exists (K,) bool. Without
        pictures (a LiDAR-only pipeline) the keys of the cameras are absent. ``data_samples``: a ``Det3DDataSample``
        whose ``gt_instances_3d`` (absent without annotations) has bboxes_3d and labels_3d, and whose metainfo holds
        the ``meta_keys``.

    Args:
        meta_keys: Keys copied to the metainfo where present.
        with_points: Whether to pack the point clouds; a student alone needs them for its depth targets only.

    Raises:
        ConfigError: A key is missing, or there are neither pictures nor points.
        ShapeError: The pictures of the sample differ in size, or frames have different numbers of cameras, or
            matrices do not fit the pictures.
        DataError: A matrix is not finite.
    """

    def __init__(self, meta_keys: Sequence[str] = BEV_META_KEYS, *, with_points: bool = True) -> None:
        self.meta_keys = tuple(meta_keys)
        self.with_points = with_points

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack the sample."""
        if 'img' not in results and 'points' not in results:
            raise ConfigError(
                'PackBEVInputs found neither img nor points; put mono_distill.LoadMultiViewImages or '
                'mono_distill.LoadLidarSweeps at the head of the pipeline'
            )
        inputs: dict[str, Any] = {}
        if 'img' in results:
            inputs.update(self._cameras(results))
        inputs['lidar_aug_matrix'] = self._matrix(results, 'lidar_aug_matrix', np.eye(4), (4, 4))
        if 'gt_depth' in results:
            inputs['gt_depth'] = torch.from_numpy(np.ascontiguousarray(results['gt_depth'], dtype=np.float32))
        if self.with_points and 'points' in results:
            inputs['points'] = results['points'].tensor.float()
        if self.with_points and 'past_points' in results:
            need(results, 'past_exists', transform='PackBEVInputs')
            inputs['past_points'] = [points.tensor.float() for points in results['past_points']]
            inputs['past_exists'] = torch.as_tensor(np.asarray(results['past_exists'], dtype=bool))
        sample = Det3DDataSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        if 'gt_bboxes_3d' in results:
            need(results, 'gt_labels_3d', transform='PackBEVInputs')
            sample.gt_instances_3d = InstanceData(
                bboxes_3d=results['gt_bboxes_3d'], labels_3d=torch.as_tensor(results['gt_labels_3d'])
            )
        return {'inputs': inputs, 'data_samples': sample}

    def _cameras(self, results: dict[str, Any]) -> dict[str, Tensor]:
        need(results, *_MATRICES, 'frame_exists', transform='PackBEVInputs')
        frames = results['img']
        counts = [len(frame) for frame in frames]
        if len(set(counts)) != 1:
            raise ShapeError(f'PackBEVInputs: frames have {counts} cameras{_name(results)}; a view is missing')
        shapes = {picture.shape for frame in frames for picture in frame}
        if len(shapes) != 1:
            raise ShapeError(
                f'PackBEVInputs: pictures of one sample differ in size, {sorted(shapes)}{_name(results)}; '
                'put mono_distill.MultiViewImageAug before it in the pipeline'
            )
        stacked = np.stack([picture for frame in frames for picture in frame]).transpose(0, 3, 1, 2)
        images = torch.from_numpy(np.ascontiguousarray(stacked)).unflatten(0, (len(frames), counts[0]))
        shape = (len(frames), counts[0], 4, 4)
        packed = {'imgs': images}
        packed.update({key: self._matrix(results, key, None, shape) for key in _MATRICES})
        packed['frame_exists'] = torch.as_tensor(np.asarray(results['frame_exists'], dtype=bool))
        return packed

    def _matrix(self, results: dict[str, Any], key: str, default: Any, shape: tuple[int, ...]) -> Tensor:
        matrix = np.asarray(results.get(key, default), dtype=np.float32)
        if matrix.shape != shape:
            raise ShapeError(f'PackBEVInputs: {key} must be {shape}, got {matrix.shape}{_name(results)}')
        if not np.isfinite(matrix).all():
            raise DataError(
                f'PackBEVInputs: {key} is not finite{_name(results)}; check the calibration and poses of this sample'
            )
        return torch.from_numpy(np.ascontiguousarray(matrix))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys}, with_points={self.with_points})'


def _name(results: dict[str, Any]) -> str:
    """Return ``' (sample ca9a…)'`` for messages."""
    name = results.get('token', results.get('sample_idx'))
    return '' if name is None else f' (sample {name})'

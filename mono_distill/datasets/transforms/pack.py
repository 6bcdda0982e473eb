"""Pack a camera sample into tensors and a ``Det3DDataSample``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet3d.structures import Det3DDataSample
from mmengine.structures import InstanceData

from mono_distill.datasets.transforms.annotations import OBJECT_KEYS
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError

META_KEYS = (
    'sample_id',
    'sample_idx',
    'img_path',
    'lidar_path',
    'cam2img',
    'ori_cam2img',
    'lidar2cam',
    'trans_mat',
    'flip',
    'crop_scale',
    'random_crop',
    'labelled',
    'ori_shape',
    'img_shape',
    'box_type_3d',
    'box_mode_3d',
)


@TRANSFORMS.register_module()
class PackMono3DInputs(BaseTransform):
    """Pack what the pipeline produced.

    Returns:
        ``inputs`` with img (3, H, W) BGR, uint8 or float32 as the pipeline left it; depth_map (1, H, W) float32 metres
        if it was loaded; points (N, C) float32 if they were loaded. ``data_samples``: a ``Det3DDataSample`` whose
        ``gt_instances_3d`` (absent without annotations) has bboxes_3d, labels_3d, bboxes, alpha, truncated, occluded,
        difficulty, centers_2d and depths, and whose metainfo holds the ``meta_keys``. Without the transforms that set
        them, flip is False, crop_scale 1.0, random_crop False and trans_mat the identity.

    Args:
        meta_keys: Keys copied to the metainfo where present; the default plus whatever a method needs.

    Raises:
        ConfigError: No image was loaded.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack the sample."""
        if 'img' not in results:
            raise ConfigError('PackMono3DInputs found no img; put LoadMonoImage at the head of the pipeline')
        inputs = {'img': torch.from_numpy(np.ascontiguousarray(results['img'].transpose(2, 0, 1)))}
        if 'depth_map' in results:
            inputs['depth_map'] = torch.from_numpy(np.ascontiguousarray(results['depth_map'][None], dtype=np.float32))
        if 'points' in results:
            points = results['points']
            inputs['points'] = points.tensor if hasattr(points, 'tensor') else torch.from_numpy(points)
        sample = Det3DDataSample(metainfo=self._metainfo(results))
        if 'gt_bboxes_3d' in results:
            fields = {key.removeprefix('gt_'): _tensor(results[key]) for key in OBJECT_KEYS if key in results}
            sample.gt_instances_3d = InstanceData(**fields)
        return {'inputs': inputs, 'data_samples': sample}

    def _metainfo(self, results: dict[str, Any]) -> dict[str, Any]:
        unchanged = {'flip': False, 'crop_scale': 1.0, 'random_crop': False, 'trans_mat': np.eye(3)}
        values = {**unchanged, **results}
        return {key: values[key] for key in self.meta_keys if key in values}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

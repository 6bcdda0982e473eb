"""Pack a KITTI sample of picture, points and LiDAR boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet3d.structures import Det3DDataSample
from mmengine.structures import InstanceData

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
    'ori_lidar2cam',
    'flip',
    'labelled',
    'ori_shape',
    'img_shape',
    'box_type_3d',
    'box_mode_3d',
)


@TRANSFORMS.register_module()
class PackKittiBEVInputs(BaseTransform):
    """Pack what the pipeline produced; a pipeline of points alone, or of the picture alone, will do.

    Returns:
        ``inputs`` with those of img (3, H, W) uint8 BGR, points (n, 4) float32 and gt_depth (h, w) float32 that were
        loaded. ``data_samples``: a ``Det3DDataSample`` whose ``gt_instances_3d`` (absent without annotations) has
        bboxes_3d (``LiDARInstance3DBoxes``) and labels_3d, and whose metainfo holds the ``meta_keys``; the matrices
        cam2img and lidar2cam are those of the sample as it is, flipped and resized, the ``ori_`` ones those of the
        file.

    Args:
        meta_keys: Keys copied to the metainfo where present; the default plus whatever a method needs.

    Raises:
        ConfigError: Neither a picture nor points were loaded.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack the sample."""
        inputs: dict[str, Any] = {}
        if 'img' in results:
            inputs['img'] = torch.from_numpy(np.ascontiguousarray(results['img'].transpose(2, 0, 1)))
        if 'points' in results:
            inputs['points'] = results['points'].tensor
        if not inputs:
            raise ConfigError('PackKittiBEVInputs found neither img nor points; put LoadMonoImage before it')
        if 'gt_depth' in results:
            inputs['gt_depth'] = torch.from_numpy(results['gt_depth'])
        values = {'flip': False, 'img_shape': results.get('ori_shape'), **results}
        sample = Det3DDataSample(metainfo={key: values[key] for key in self.meta_keys if key in values})
        if 'gt_bboxes_3d' in results:
            sample.gt_instances_3d = InstanceData(
                bboxes_3d=results['gt_bboxes_3d'], labels_3d=torch.as_tensor(results['gt_labels_3d'])
            )
        return {'inputs': inputs, 'data_samples': sample}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'

"""LiDAR detectors (SECOND, PointPillars) on the bird's-eye-view grid of a camera student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mono_distill.models.detectors.bev_anchor import BEVAnchorDetector
from mono_distill.models.detectors.pillar_parts import lean_part
from mono_distill.models.monodetr.output_record import OutputRecord
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError


@MODELS.register_module()
class PointsBEVDetector(BEVAnchorDetector):
    """Voxel encoder, middle encoder, BEV backbone, neck and anchor head, named as in mmdet3d's ``VoxelNet``.

    The features that a student is compared with, ``bev`` of :meth:`distill_outputs`, are those before the BEV backbone:
    rectified, mostly zero, on the grid of the anchors. SECOND's middle encoder gives them; PointPillars scatters at a
    finer cell and brings them to the grid by a ``stem``. The voxel encoder runs in float32 whatever autocast says;
    mmdet3d's parts of PointPillars are built in the forms of ``pillar_parts.py``.

    Args:
        voxel_encoder: ``HardSimpleVFE`` (full tier) or ``PillarFeatureNet``.
        middle_encoder: ``SparseEncoder`` (full tier) or ``PointPillarsScatter``.
        backbone: Of the BEV features, for example mmdet3d's ``SECOND``.
        neck: For example mmdet3d's ``SECONDFPN``.
        bbox_head: For example :class:`KittiAnchorHead`.
        point_cloud_range: x, y, z from and to, metres, LiDAR frame.
        bev_size: Rows and columns of ``bev`` and of the anchors.
        stem: Layers between middle encoder and backbone whose last map is ``bev``; ``None`` for none.
        data_preprocessor: With ``modality='points'``.
        init_cfg: See mmengine.

    Raises:
        ConfigError: Voxels or anchors do not fit the grid.
    """

    outputs = ('bev', 'bev_features')

    def __init__(
        self,
        voxel_encoder: Mapping[str, Any],
        middle_encoder: Mapping[str, Any],
        *,
        backbone: Mapping[str, Any],
        neck: Mapping[str, Any],
        bbox_head: Mapping[str, Any],
        point_cloud_range: Sequence[float],
        bev_size: tuple[int, int],
        stem: Mapping[str, Any] | None = None,
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(point_cloud_range, bev_size, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.voxel_encoder = MODELS.build(lean_part(voxel_encoder))
        self.middle_encoder = MODELS.build(lean_part(middle_encoder))
        self.stem = None if stem is None else MODELS.build(stem)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck)
        self.bbox_head = MODELS.build(bbox_head)
        self.check_anchors()
        self._check_voxels()

    def extract_feat(
        self, batch_inputs_dict: Mapping[str, Any], batch_data_samples: Sequence[Any] | None = None
    ) -> list[Tensor]:
        """Compute the maps the head works on.

        Args:
            batch_inputs_dict: ``points`` and ``voxels`` of :class:`KittiBEVDataPreprocessor`.
            batch_data_samples: Not used.

        Raises:
            DataError: There are no voxels.
        """
        if 'voxels' not in batch_inputs_dict:
            raise DataError(
                f'PointsBEVDetector: the inputs are {sorted(batch_inputs_dict)}, expected voxels; use '
                "mono_distill.KittiBEVDataPreprocessor(modality='points')"
            )
        self._outputs = OutputRecord()
        voxels = batch_inputs_dict['voxels']
        # bfloat16 has less than three digits, too few for the places of points.
        with torch.autocast(voxels['voxels'].device.type, enabled=False):
            encoded = self.voxel_encoder(voxels['voxels'], voxels['num_points'], voxels['coors'])
        bev = self.middle_encoder(encoded, voxels['coors'], len(batch_inputs_dict['points']))
        if self.stem is not None:
            bev = self.stem(bev)[-1]
        features: list[Tensor] = self.neck(self.backbone(self.check_bev(bev)))
        self._outputs.update(bev=bev, bev_features=features[0])
        return features

    def _check_voxels(self) -> None:
        """Compare the voxels with the grid."""
        layer = getattr(self.data_preprocessor, 'voxel_layer', None)
        if layer is None:
            return
        limits = tuple(float(value) for value in layer.point_cloud_range)
        cells = [round((limits[axis + 3] - limits[axis]) / layer.voxel_size[axis]) for axis in (1, 0)]
        if limits != self.point_cloud_range or any(n % m for n, m in zip(cells, self.bev_size, strict=True)):
            raise ConfigError(
                f'PointsBEVDetector: {cells[0]} x {cells[1]} voxels over {limits} on a grid of {self.bev_size[0]} x '
                f'{self.bev_size[1]} over {self.point_cloud_range}; give both one range and a whole number of voxels '
                'per cell'
            )

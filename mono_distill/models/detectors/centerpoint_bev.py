"""CenterPoint (Yin et al., *Center-based 3D Object Detection and Tracking*, CVPR 2021) as a teacher on nuScenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet3d.models.detectors import Base3DDetector
from mmdet3d.models.middle_encoders import SparseEncoder
from torch import Tensor

from mono_distill.compat.mmcv_lite import FULL_TIER_CURE, has_compiled_ops
from mono_distill.losses.tensor_dict import head_tasks
from mono_distill.models.detectors.pillar_parts import lean_part
from mono_distill.models.monodetr.output_record import OutputRecord
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError

PREPROCESSOR = "mono_distill.BEVDataPreprocessor with modality='points'"
OUTPUTS = ('bev_raw', 'bev_encoder', 'bev', 'heads', 'past_bev', 'past_heads', 'past_exists')


@MODELS.register_module()
class CenterPointBEV(Base3DDetector):
    """Voxel encoder, middle encoder, backbone, neck and :class:`BEVCenterHead` on a point cloud.

    The parts have the names that mmdet3d's ``CenterPoint`` gives them, so its public checkpoints load unchanged. Other
    than there, the number of samples is taken from the batch and not from its last voxel: a last sample without points
    gives an empty map, and nothing waits for the device. The voxel encoder runs in float32 whatever autocast says.

    Two forms. Pillars (``PillarFeatureNet``, ``PointPillarsScatter``, ``SECOND``, ``SECONDFPN``) run on any device; the
    first two in forms of their own (``pillar_parts.py``), which encode the many clouds of a batch with fewer copies.
    Voxels (``HardSimpleVFE``, ``SparseEncoder``) need CUDA and mmcv with compiled ops (or spconv 2).

    Maps are ``(B, C, H, W)`` in the LiDAR frame: column x, row y, metres.

    A batch may hold K past clouds of every sample, folded in behind the current ones: frame k of sample b is sample
    ``B + k * B + b`` of the voxels. They take the same way up to the neck and, in mode ``'tensor'``, through the
    heatmap branches; losses and boxes are of the current clouds only.

    Args:
        pts_voxel_encoder: ``PillarFeatureNet`` or ``HardSimpleVFE``.
        pts_middle_encoder: ``PointPillarsScatter`` or ``SparseEncoder``.
        pts_backbone: ``SECOND``.
        pts_neck: ``SECONDFPN``.
        pts_bbox_head: :class:`BEVCenterHead`.
        train_cfg: ``dict(pts=...)``, handed to the head, as in mmdet3d.
        test_cfg: ``dict(pts=...)``, handed to the head, as in mmdet3d.
        data_preprocessor: ``BEVDataPreprocessor`` with ``modality='points'``.
        init_cfg: See mmengine.
    """

    def __init__(
        self,
        pts_voxel_encoder: dict[str, Any],
        pts_middle_encoder: dict[str, Any],
        pts_backbone: dict[str, Any],
        pts_neck: dict[str, Any],
        pts_bbox_head: dict[str, Any],
        *,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.pts_voxel_encoder = MODELS.build(lean_part(pts_voxel_encoder))
        self.pts_middle_encoder = MODELS.build(lean_part(pts_middle_encoder))
        self.pts_backbone = MODELS.build(pts_backbone)
        self.pts_neck = MODELS.build(pts_neck)
        head = dict(pts_bbox_head)
        for name, cfg in (('train_cfg', train_cfg), ('test_cfg', test_cfg)):
            if cfg is not None:
                head[name] = cfg.get('pts', cfg)
        self.pts_bbox_head = MODELS.build(head)
        self._outputs = OutputRecord()

    def extract_feat(self, batch_inputs_dict: Mapping[str, Any]) -> list[Tensor]:
        """Compute the neck's maps of the current clouds.

        Args:
            batch_inputs_dict: ``points`` (list of B clouds), ``voxels`` (``voxels`` (V, P, C), ``num_points`` (V,),
                ``coors`` (V, 4): sample, z, y, x), and with past clouds ``num_past`` (K) and ``past_exists`` (B, K).

        Returns:
            List of one map ``(B, C, H, W)``.

        Raises:
            ConfigError: The batch is not voxelised, or a sparse encoder has no CUDA.
        """
        batch, num_past = self._sizes(batch_inputs_dict)
        # The graph of the pass before must not live through this one.
        self._outputs = OutputRecord()
        raw = self._encode(batch_inputs_dict['voxels'], batch * (1 + num_past))
        levels = list(self.pts_backbone(raw))
        maps = list(self.pts_neck(levels))
        self._outputs.update(bev_raw=raw[:batch], bev_encoder=[level[:batch] for level in levels], bev=maps[0][:batch])
        if num_past:
            past = maps[0][batch:].unflatten(0, (num_past, batch)).transpose(0, 1)
            self._outputs.update(past_bev=past, past_exists=batch_inputs_dict.get('past_exists'))
        return [value[:batch] for value in maps]

    def loss(
        self, batch_inputs_dict: Mapping[str, Any], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute the losses of annotated clouds, see :meth:`BEVCenterHead.loss_by_targets`."""
        outs = self._head(self.extract_feat(batch_inputs_dict))
        losses: dict[str, Tensor] = self.pts_bbox_head.loss_by_feat(
            outs, [sample.gt_instances_3d for sample in batch_data_samples]
        )
        return losses

    def predict(
        self, batch_inputs_dict: Mapping[str, Any], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> Sequence[Any]:
        """Fill ``pred_instances_3d`` of the samples with boxes of the LiDAR frame."""
        outs = self._head(self.extract_feat(batch_inputs_dict))
        results = self.pts_bbox_head.predict_by_feat(outs, [sample.metainfo for sample in batch_data_samples])
        filled: Sequence[Any] = self.add_pred_to_datasample(batch_data_samples, results)
        return filled

    def distill_outputs(self) -> dict[str, Any]:
        """Return the named tensors of the last forward pass, for taps such as ``'teacher:bev_encoder[0]'``.

        ``bev_raw`` (the scattered pillars, or the sparse encoder's map), ``bev_encoder`` (maps of the backbone, fine to
        coarse), ``bev`` (the neck's map); where the head has run, ``heads``: per task a dictionary of ``heatmap``
        (logits), ``reg``, ``height``, ``dim``, ``rot``, ``vel``. With past clouds ``past_bev`` (B, K, C, H, W),
        ``past_exists`` (B, K) bool and, in mode ``'tensor'``, ``past_heads``: per task ``heatmap`` (B, K, c, H, W). A
        teacher whose ``heads`` or ``past_heads`` are tapped is run with ``forward='tensor'``. Before the first pass
        the names, without values.
        """
        return dict(self._outputs) or dict.fromkeys(OUTPUTS)

    def _forward(
        self, batch_inputs_dict: Mapping[str, Any], batch_data_samples: Sequence[Any] | None = None, **kwargs: Any
    ) -> Any:
        outs = self._head(self.extract_feat(batch_inputs_dict))
        past = self._outputs.get('past_bev')
        if past is not None:
            heatmaps = self.pts_bbox_head.heatmaps([past.flatten(0, 1)])
            self._outputs['past_heads'] = [dict(heatmap=value.unflatten(0, past.shape[:2])) for value in heatmaps]
        return outs

    def _head(self, maps: list[Tensor]) -> Any:
        outs = self.pts_bbox_head(maps)
        self._outputs['heads'] = head_tasks(outs)
        return outs

    def _encode(self, voxels: Mapping[str, Tensor], num_samples: int) -> Tensor:
        """Turn the voxels into a map ``(num_samples, C, H, W)``."""
        points, coors = voxels['voxels'], voxels['coors']
        self._check_device(points)
        if len(points):
            # bfloat16 would round the places of points beyond 32 m by up to 12 cm.
            with torch.autocast(points.device.type, enabled=False):
                features = self.pts_voxel_encoder(points, voxels['num_points'], coors)
        else:
            # Statistics of nothing are NaN; the sum over no rows leaves every parameter a gradient of zero.
            features = points.new_zeros(0, self.pts_middle_encoder.in_channels)
            features = features + sum((p.sum() for p in self.pts_voxel_encoder.parameters()), points.new_zeros(()))
        encoded: Tensor = self.pts_middle_encoder(features, coors, num_samples)
        return encoded

    def _check_device(self, points: Tensor) -> None:
        if not isinstance(self.pts_middle_encoder, SparseEncoder) or (points.is_cuda and _has_sparse_convolution()):
            return
        reason = 'mmcv has no compiled ops here' if points.is_cuda else f'the points are on {points.device}'
        raise ConfigError(
            f'CenterPointBEV: SparseEncoder needs CUDA and compiled sparse convolutions, but {reason}. Either use the '
            'pillar form, which runs anywhere (configs/teachers/centerpoint_pillar02_nus.py or centerpoint_tiny_nus.py)'
            f'; or move the model to a GPU, and for the compiled ops {FULL_TIER_CURE}.'
        )

    @staticmethod
    def _sizes(inputs: Mapping[str, Any]) -> tuple[int, int]:
        """Number of samples and of past clouds of each."""
        missing = [name for name in ('points', 'voxels') if name not in inputs]
        if missing:
            raise ConfigError(
                f'CenterPointBEV: the inputs are {sorted(inputs)}, without {" and ".join(missing)}; use the data '
                f'preprocessor {PREPROCESSOR}.'
            )
        batch, num_past = len(inputs['points']), int(inputs.get('num_past') or 0)
        exists = inputs.get('past_exists')
        if num_past and isinstance(exists, Tensor) and exists.shape != (batch, num_past):
            raise DataError(
                f'CenterPointBEV: past_exists is {tuple(exists.shape)}, but there are {batch} samples with {num_past} '
                'past clouds each.'
            )
        return batch, num_past


def _has_sparse_convolution() -> bool:
    from mmdet3d.models.layers.spconv import IS_SPCONV2_AVAILABLE

    return bool(IS_SPCONV2_AVAILABLE) or has_compiled_ops()

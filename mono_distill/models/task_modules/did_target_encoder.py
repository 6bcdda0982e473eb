"""Annotations to the training targets of DID-M3D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from mono_distill.models.task_modules.centernet_target_encoder import CenterNetTargetEncoder
from mono_distill.models.task_modules.did_geometry import PixelGeometryReader
from mono_distill.models.task_modules.object_slots import zero_unless
from mono_distill.ops.pad_slots import pad_slots
from mono_distill.registry import TASK_UTILS
from mono_distill.utils.errors import ConfigError, DataError


@TASK_UTILS.register_module()
class DIDTargetEncoder(CenterNetTargetEncoder):
    """Targets of DID-M3D (Peng et al., ECCV 2022), based on those of :class:`CenterNetTargetEncoder`.

    What differs from MonoDLE: the observation angle is the yaw minus the angle of the ray through the centre of the *2D
    box*, whatever angle was annotated; depths are true metres, whatever the crop; randomly cropped images train
    everything; and the depth of an object is split. ``vis_depth`` is the depth measured in each bin of the annotated 2D
    box. What is missing from there to the depth of the object's centre is ``att_depth``, which follows from shape and
    attitude. Bins count (``depth_mask``) where the measurement is within ``depth_margin`` of the centre.

    Args:
        num_classes: Classes of the heatmap.
        depth_margin: Largest distance in metres of a measurement that belongs to the object.
        stride: Input pixels per cell.
        min_overlap: IoU that defines the Gaussian radius.

    Raises:
        ConfigError: If ``depth_margin`` is not positive.
    """

    def __init__(
        self, num_classes: int = 3, *, depth_margin: float = 3.0, stride: int = 4, min_overlap: float = 0.7
    ) -> None:
        super().__init__(num_classes, stride=stride, min_overlap=min_overlap)
        if depth_margin <= 0:
            raise ConfigError(f'DIDTargetEncoder: depth_margin must be positive, got {depth_margin}')
        self.depth_margin = depth_margin
        self.geometry = PixelGeometryReader('exact')

    @torch.no_grad()
    def forward(
        self,
        batch_gt_instances_3d: Sequence[InstanceData],
        batch_img_metas: Sequence[Mapping[str, Any]],
        feat_shape: Sequence[int],
    ) -> dict[str, Tensor]:
        """Encode a batch.

        Args:
            batch_gt_instances_3d: See :class:`CenterNetTargetEncoder`; also ``visual_depth`` (n, bins, bins) in metres,
                0 where nothing was measured (:class:`mono_distill.datasets.transforms.ObjectVisualDepth`).
            batch_img_metas: See :class:`PixelGeometryReader`.
            feat_shape: The head's map size; the last two entries are H and W.

        Returns:
            Targets for B images and N >= 1 slots, zero where ``mask_2d`` is False: ``heatmap``, ``indices``,
            ``labels``, ``mask_2d``, ``offset_2d``, ``size_2d``, ``offset_3d``, ``heading_bin``, ``heading_res``,
            ``size_3d``, ``bboxes`` as MonoDLE's; ``depth`` (B, N) metres; ``vis_depth``, ``att_depth`` (B, N, bins,
            bins) metres, zero outside ``depth_mask`` (B, N, bins, bins) bool.

        Raises:
            DataError: If an image's annotations lack a field, or its metas a key.
        """
        for instances in batch_gt_instances_3d:
            if 'visual_depth' not in instances:
                raise DataError(
                    'DIDTargetEncoder: gt_instances_3d lacks visual_depth; put mono_distill.LoadDepthMap and, after '
                    'MonoRandomCropAffine, mono_distill.ObjectVisualDepth into the training pipeline.'
                )
        targets = super().forward(batch_gt_instances_3d, batch_img_metas, feat_shape)
        del targets['mask_3d']
        valid = targets['mask_2d']
        yaw = pad_slots([instances.bboxes_3d.tensor[:, 6] for instances in batch_gt_instances_3d], 0.0).float()
        visual = pad_slots([instances.visual_depth for instances in batch_gt_instances_3d], 0.0).float()
        depth = zero_unless(valid, pad_slots([instances.depths for instances in batch_gt_instances_3d], 0.0).float())
        targets['depth'] = depth
        targets.update(self._heading(targets['bboxes'], yaw, valid, batch_img_metas))
        targets.update(self._depth_parts(visual, depth, valid))
        return targets

    def _heading(
        self, bboxes: Tensor, yaw: Tensor, valid: Tensor, batch_img_metas: Sequence[Mapping[str, Any]]
    ) -> dict[str, Tensor]:
        centers = (bboxes[..., :2] + bboxes[..., 2:]) / 2
        tangent = self.geometry(batch_img_metas, centers).directions(centers)[..., 0]
        heading_bin, heading_res = self.heading_coder.encode(yaw - torch.atan(tangent))
        return dict(
            heading_bin=torch.where(valid, heading_bin, 0),
            heading_res=torch.where(valid, heading_res, 0.0),
        )

    def _depth_parts(self, visual: Tensor, depth: Tensor, valid: Tensor) -> dict[str, Tensor]:
        depth, valid = depth[..., None, None], valid[..., None, None]
        mask = valid & (visual > 0) & ((visual - depth).abs() < self.depth_margin)
        return dict(
            vis_depth=torch.where(mask, visual, 0.0),
            att_depth=torch.where(mask, depth - visual, 0.0),
            depth_mask=mask,
        )

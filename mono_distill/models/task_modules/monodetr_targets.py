"""Annotations to the per-object training targets of MonoDETR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mono_distill.models.task_modules.heading_bin_coder import HeadingBinCoder
from mono_distill.models.task_modules.monodetr_boxes import corners_to_edges
from mono_distill.models.task_modules.object_slots import (
    host_values,
    meta_column,
    require_fields,
    require_meta,
    zero_unless,
)
from mono_distill.ops.pad_slots import pad_slots
from mono_distill.registry import TASK_UTILS

_FIELDS = ('bboxes_3d', 'labels_3d', 'bboxes', 'centers_2d', 'depths')
_NAME = 'MonoDETRTargetEncoder'


@TASK_UTILS.register_module()
class MonoDETRTargetEncoder(nn.Module):
    r"""Targets of MonoDETR (Zhang et al., ICCV 2023) for a batch at once, on the device of the annotations.

    An object counts if its projected 3D centre lies in the input and in its own 2D box; all other filters (difficulty,
    depth range) belong to the data pipeline. It has no parameters and is a module so that forward hooks can record the
    targets.

    The angle the network learns is not the annotated one but

    .. math:: \alpha = r_y - \arctan\frac{u - c_u}{f_u}

    with u the middle of the 2D box, as in the official code (``lib/datasets/kitti/kitti_dataset.py``, line 295), whose
    decoder adds the same ray back. For a flipped image the ray here is that of the mirrored camera, so that the angle
    is the mirrored angle exactly. The official code mirrors u but not :math:`c_u`: on KITTI its angles of flipped
    images are off by the angle of 23 px, up to 1.8 degrees. ``mirror_camera=False`` does the same.

    Args:
        num_classes: Classes of the head; objects with another label are left out.
        mirror_camera: Whether a flipped image is one of the mirrored camera.
    """

    def __init__(self, num_classes: int = 3, *, mirror_camera: bool = True) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.mirror_camera = mirror_camera
        self.heading_coder = HeadingBinCoder()

    @torch.no_grad()
    def forward(
        self, batch_gt_instances_3d: Sequence[InstanceData], batch_img_metas: Sequence[Mapping[str, Any]]
    ) -> dict[str, Tensor]:
        """Encode a batch.

        Args:
            batch_gt_instances_3d: Per image ``bboxes_3d`` (camera boxes, flipped with the image), ``labels_3d`` (n,),
                ``bboxes`` (n, 4) xyxy and ``centers_2d`` (n, 2) in input pixels (after augmentation) and ``depths``
                (n,) metres.
            batch_img_metas: Per image ``img_shape`` (H, W) of the input, ``cam2img`` (follows flip and crop; without
                ``mirror_camera`` instead ``ori_cam2img`` and ``trans_mat``) and, if there was a crop, ``crop_scale``,
                which multiplies the depths.

        Returns:
            Targets for B images and N >= 1 object slots, zero where the mask is False: ``mask_2d`` (B, N) bool, and
            ``mask_3d``, the same; ``labels`` (B, N) int64; ``boxes`` (B, N, 6) cx, cy of the projected 3D centre and
            the distances l, r, t, b to the edges of the 2D box, as fractions of the input's width and height;
            ``bboxes`` (B, N, 4) xyxy in input pixels; ``size_3d`` (B, N, 3) h, w, l in metres; ``depth`` (B, N) in
            metres times the crop scale; ``heading_bin`` (B, N) int64 and ``heading_res`` (B, N) radians. If the
            metainfo of some image says ``labelled=False``, also ``labelled`` (B,) bool.

        Raises:
            DataError: If an image's annotations lack a field, or its metainfo a key.
        """
        require_fields(batch_gt_instances_3d, _FIELDS, owner=_NAME)
        objects = _pad(batch_gt_instances_3d)
        corners, centers, labels = objects['bboxes'], objects['centers_2d'], objects['labels']
        shapes = require_meta(batch_img_metas, 'img_shape', owner=_NAME)
        size = host_values([[shape[1], shape[0]] for shape in shapes], like=corners).unsqueeze(1)
        boxes = corners_to_edges(corners / size.repeat(1, 1, 2), centers / size)
        # A centre behind the camera is NaN, for which every comparison is false.
        inside = ((centers >= 0) & (centers < size)).all(-1) & (boxes[..., 2:] >= 0).all(-1)
        valid = inside & (labels >= 0) & (labels < self.num_classes)

        heading_bin, heading_res = self.heading_coder.encode(self._alpha(objects, batch_img_metas))
        targets = dict(
            labels=labels,
            boxes=boxes,
            bboxes=corners,
            size_3d=objects['size_3d'],
            depth=objects['depths'] * meta_column(batch_img_metas, 'crop_scale', 1.0, like=corners),
            heading_bin=heading_bin,
            heading_res=heading_res,
        )
        targets = {name: zero_unless(valid, value) for name, value in targets.items()}
        targets.update(mask_2d=valid, mask_3d=valid)
        labelled = [bool(meta.get('labelled', True)) for meta in batch_img_metas]
        if not all(labelled):
            targets['labelled'] = host_values(labelled, like=valid)
        return targets

    def _alpha(self, objects: Mapping[str, Tensor], metas: Sequence[Mapping[str, Any]]) -> Tensor:
        """Yaw minus the ray through the middle of the 2D box, radians (B, N)."""
        if self.mirror_camera:
            cameras = [np.asarray(camera) for camera in require_meta(metas, 'cam2img', owner=_NAME)]
        else:
            originals = require_meta(metas, 'ori_cam2img', owner=_NAME)
            maps = require_meta(metas, 'trans_mat', owner=_NAME)
            cameras = [np.asarray(m) @ np.asarray(camera)[:3, :3] for m, camera in zip(maps, originals, strict=True)]
        intrinsics = np.stack([camera[0, [0, 2]] for camera in cameras])
        focal, center = host_values(intrinsics, like=objects['bboxes']).unsqueeze(1).unbind(-1)
        middle = (objects['bboxes'][..., 0] + objects['bboxes'][..., 2]) / 2
        return objects['yaw'] - torch.atan((middle - center) / focal)


def _pad(batch: Sequence[InstanceData]) -> dict[str, Tensor]:
    """Stack the objects of all images into (B, N, ...) tensors; empty slots have label -1."""
    boxes_3d = [instances.bboxes_3d.tensor for instances in batch]
    fields = dict(
        bboxes=[instances.bboxes for instances in batch],
        centers_2d=[instances.centers_2d for instances in batch],
        depths=[instances.depths for instances in batch],
        # Camera boxes are stored as x, y, z, l, h, w, yaw; roll gives h, w, l.
        size_3d=[boxes[:, 3:6].roll(-1, 1) for boxes in boxes_3d],
        yaw=[boxes[:, 6] for boxes in boxes_3d],
    )
    padded = {name: pad_slots(values, 0.0).float() for name, values in fields.items()}
    padded['labels'] = pad_slots([instances.labels_3d for instances in batch], -1)
    return padded

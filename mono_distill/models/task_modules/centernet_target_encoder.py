"""Annotations to dense and per-object training targets of CenterNet-style monocular heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mono_distill.models.task_modules.center_geometry import render_gaussians
from mono_distill.models.task_modules.heading_bin_coder import HeadingBinCoder
from mono_distill.models.task_modules.object_slots import meta_column, require_fields, zero_unless
from mono_distill.ops.box_masks import gaussian_radius
from mono_distill.ops.pad_slots import pad_slots
from mono_distill.registry import TASK_UTILS

_FIELDS = ('bboxes_3d', 'labels_3d', 'bboxes', 'alpha', 'centers_2d', 'depths')


@TASK_UTILS.register_module()
class CenterNetTargetEncoder(nn.Module):
    """Targets of MonoDLE (Ma et al., CVPR 2021) for a batch at once, on the device of the annotations.

    An object's cell is the one that holds its *projected 3D centre*; the annotated 2D box only gives ``offset_2d``,
    ``size_2d`` and the radius of the Gaussian. Objects whose cell lies outside the map, or whose label is not a class
    of the head, are left out; all other filters (difficulty, depth range) belong to the data pipeline. It has no
    parameters and is a module so that forward hooks can record the targets.

    The official code truncates towards zero and so moves a centre up to one cell left of (above) the map into it; here
    such an object is outside.

    Args:
        num_classes: Classes of the heatmap.
        stride: Input pixels per cell.
        min_overlap: IoU that defines the Gaussian radius.
    """

    def __init__(self, num_classes: int = 3, *, stride: int = 4, min_overlap: float = 0.7) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stride = stride
        self.min_overlap = min_overlap
        self.heading_coder = HeadingBinCoder()

    @torch.no_grad()
    def forward(
        self,
        batch_gt_instances_3d: Sequence[InstanceData],
        batch_img_metas: Sequence[Mapping[str, Any]],
        feat_shape: Sequence[int],
    ) -> dict[str, Tensor]:
        """Encode a batch.

        Args:
            batch_gt_instances_3d: Per image ``bboxes_3d`` (camera boxes), ``labels_3d`` (n,), ``bboxes`` (n, 4) xyxy
                and ``centers_2d`` (n, 2) in input pixels (after augmentation), ``alpha`` (n,) radians and ``depths``
                (n,) metres.
            batch_img_metas: Per image ``crop_scale`` (size of the random crop over that of the image; depth targets
                are multiplied by it, since the crop shows objects that much smaller) and ``random_crop`` (such images
                do not train the 3D offset and size).
            feat_shape: The head's map size; the last two entries are H and W.

        Returns:
            Targets for B images and N >= 1 object slots, zero where ``mask_2d`` is False: ``heatmap`` (B, C, H, W);
            ``indices`` (B, N) int64, y * W + x; ``labels`` (B, N) int64; ``mask_2d``, ``mask_3d`` (B, N) bool;
            ``offset_2d``, ``size_2d``, ``offset_3d`` (B, N, 2) in cells; ``size_3d`` (B, N, 3) h, w, l in metres;
            ``depth`` (B, N) in metres times the crop scale; ``heading_bin`` (B, N) int64 and ``heading_res`` (B, N)
            radians; ``bboxes`` (B, N, 4) xyxy in input pixels.

        Raises:
            DataError: If an image's annotations lack a field.
        """
        height, width = int(feat_shape[-2]), int(feat_shape[-1])
        objects = self._pad(batch_gt_instances_3d)
        centers_3d = objects['centers_2d'] / self.stride
        # Compared as floats: a centre behind the camera is NaN, for which every comparison is false.
        u, v = centers_3d.unbind(-1)
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        peaks = torch.floor(torch.where(inside.unsqueeze(-1), centers_3d, 0.0)).long()
        x, y = peaks.unbind(-1)
        labels = objects['labels']
        valid = inside & (labels >= 0) & (labels < self.num_classes)

        top_left, bottom_right = (objects['bboxes'] / self.stride).split(2, dim=-1)
        size_2d = bottom_right - top_left
        heading_bin, heading_res = self.heading_coder.encode(objects['alpha'])
        targets = dict(
            indices=y * width + x,
            labels=labels,
            offset_2d=(top_left + bottom_right) / 2 - peaks,
            size_2d=size_2d,
            offset_3d=centers_3d - peaks,
            size_3d=objects['size_3d'],
            depth=objects['depths'] * meta_column(batch_img_metas, 'crop_scale', 1.0, like=centers_3d),
            heading_bin=heading_bin,
            heading_res=heading_res,
            bboxes=objects['bboxes'],
        )
        targets = {name: zero_unless(valid, value) for name, value in targets.items()}
        cropped = meta_column(batch_img_metas, 'random_crop', False, like=valid)
        targets.update(mask_2d=valid, mask_3d=valid & ~cropped)
        # float64: the radius is truncated, so its last bit matters.
        box_width, box_height = size_2d.double().clamp(min=0).unbind(-1)
        radii = gaussian_radius(box_height, box_width, self.min_overlap).clamp(min=0).long()
        targets['heatmap'] = render_gaussians(peaks, radii, labels, valid, (self.num_classes, height, width))
        return targets

    def _pad(self, batch: Sequence[InstanceData]) -> dict[str, Tensor]:
        """Stack the objects of all images into (B, N, ...) tensors, N >= 1; empty slots have label -1."""
        require_fields(batch, _FIELDS, owner='CenterNetTargetEncoder')
        fields = dict(
            bboxes=[instances.bboxes for instances in batch],
            centers_2d=[instances.centers_2d for instances in batch],
            depths=[instances.depths for instances in batch],
            alpha=[instances.alpha for instances in batch],
            # Camera boxes are stored as x, y, z, l, h, w, yaw.
            # roll gives h, w, l; indexing with a list would upload the list for every image.
            size_3d=[instances.bboxes_3d.tensor[:, 3:6].roll(-1, 1) for instances in batch],
        )
        padded = {name: pad_slots(values, 0.0).float() for name, values in fields.items()}
        padded['labels'] = pad_slots([instances.labels_3d for instances in batch], -1)
        return padded

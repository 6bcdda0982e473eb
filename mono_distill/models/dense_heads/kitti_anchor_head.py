"""SECOND's anchor head for KITTI: the same for LiDAR teachers, teaching assistants and camera students."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet3d.models.dense_heads import Anchor3DHead
from mmdet3d.models.dense_heads.train_mixins import get_direction_target
from mmengine.config import ConfigDict
from torch import Tensor

from mono_distill.losses.masked import global_avg_factors
from mono_distill.models.dense_heads.anchor_targets import anchor_targets, padded_objects
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError


@MODELS.register_module()
class KittiAnchorHead(Anchor3DHead):
    """mmdet3d's ``Anchor3DHead`` with one anchor size per class and targets that are found for the whole batch.

    Layers, parameters, box code and decoding are those of ``Anchor3DHead``. Its losses are the same, too, with three
    differences: the targets come from :func:`anchor_targets`, so that no step waits for the device and the samples'
    boxes stay what they are; under distributed training the divisor is that of all processes; and samples whose
    ``labelled`` is False do not count. Frames without objects teach the background.

    The order of ``anchor_generator.sizes`` is the order of the data set's classes.

    Args:
        num_classes: K.
        in_channels: Channels of the BEV features.
        iou_thresholds: IoU from which an anchor is positive, and below which it is negative, of every class; SECOND on
            KITTI has (0.6, 0.45) for cars and (0.5, 0.35) for the others.
        anchor_generator: mmdet3d's, with one size and range per class.
        test_cfg: Thresholds for detections, see mmdet3d.
        options: Further arguments of ``Anchor3DHead``: ``loss_cls``, ``loss_bbox``, ``loss_dir``, ``dir_offset``,
            ``init_cfg`` ...

    Raises:
        ConfigError: Anchors or thresholds do not fit the classes, or the classification is no sigmoid.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        *,
        iou_thresholds: Sequence[tuple[float, float]],
        anchor_generator: Mapping[str, Any],
        test_cfg: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        options.setdefault('loss_cls', dict(type='mmdet.FocalLoss', use_sigmoid=True, loss_weight=1.0))
        sizes = len(anchor_generator.get('sizes', ()))
        if not num_classes == sizes == len(iou_thresholds):
            raise ConfigError(
                f'KittiAnchorHead: {num_classes} classes need as many anchor sizes ({sizes}) and iou_thresholds '
                f'({len(iou_thresholds)}), in the same order'
            )
        if any(not 0 < lower <= upper <= 1 for upper, lower in iou_thresholds):
            raise ConfigError(
                f'KittiAnchorHead: iou_thresholds are (positive from, negative below), got {iou_thresholds}'
            )
        if not options['loss_cls'].get('use_sigmoid', False) or not options.get('use_direction_classifier', True):
            raise ConfigError('KittiAnchorHead: needs loss_cls.use_sigmoid=True and use_direction_classifier=True')
        with warnings.catch_warnings():
            # Of every construction: that dir_offset will move into the box coder.
            warnings.filterwarnings('ignore', message='dir_offset and dir_limit_offset')
            super().__init__(
                num_classes,
                in_channels,
                feat_channels=in_channels,
                anchor_generator={**anchor_generator, 'reshape_out': False},
                test_cfg=None if test_cfg is None else ConfigDict(test_cfg),
                **options,
            )
        self.iou_thresholds = [(float(upper), float(lower)) for upper, lower in iou_thresholds]
        self._anchors: dict[tuple[Any, ...], Tensor] = {}

    def _init_assigner_sampler(self) -> None:
        """Nothing to build: :func:`anchor_targets` assigns."""

    def anchors(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Return the anchors ``(H * W, K, R, 7)`` of a map; made once per size and device.

        Args:
            size: H and W.
            device: Where they are needed.
        """
        key = (*size, str(device))
        if key not in self._anchors:
            (anchors,) = self.prior_generator.grid_anchors([size], device=device)
            self._anchors = {key: anchors.reshape(size[0] * size[1], self.num_classes, -1, 7)}
        return self._anchors[key]

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        dir_cls_preds: Sequence[Tensor],
        batch_gt_instances_3d: Sequence[Any],
        batch_input_metas: Sequence[Mapping[str, Any]],
        batch_gt_instances_ignore: Any = None,
    ) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            cls_scores: One map ``(B, A * K, H, W)``.
            bbox_preds: One map ``(B, A * 7, H, W)``.
            dir_cls_preds: One map ``(B, A * 2, H, W)``.
            batch_gt_instances_3d: Per sample ``bboxes_3d`` and ``labels_3d``.
            batch_input_metas: Per sample; ``labelled=False`` leaves it out.
            batch_gt_instances_ignore: Not used.

        Returns:
            ``loss_cls``, ``loss_bbox`` and ``loss_dir``, 0-dim.
        """
        (cls,), (box,), (direction,) = cls_scores, bbox_preds, dir_cls_preds
        device = cls.device
        anchors = self.anchors((cls.shape[2], cls.shape[3]), device)
        boxes, labels = padded_objects(batch_gt_instances_3d, device)
        targets = anchor_targets(anchors, boxes.float(), labels, thresholds=self.iou_thresholds)
        labelled = torch.tensor([bool(meta.get('labelled', True)) for meta in batch_input_metas]).to(device)
        flat = anchors.reshape(-1, 7)
        codes = self.bbox_coder.encode(flat.expand_as(targets.boxes), targets.boxes)
        bins = get_direction_target(flat, codes, self.dir_offset, self.dir_limit_offset, one_hot=False)
        positive = (targets.positive & labelled.unsqueeze(1)).float()
        counted = (targets.counted & labelled.unsqueeze(1)).float()
        # As in mmdet3d, a sample without objects counts like one with a single positive anchor.
        divisor = global_avg_factors((positive.sum(1).clamp(min=1) * labelled).sum())
        with torch.autocast(device.type, enabled=False):
            predicted = _by_anchor(box, 7)
            if self.diff_rad_by_sin:
                predicted, codes = self.add_sin_difference(predicted, codes.flatten(0, 1))
            weights = positive.flatten().unsqueeze(1).expand_as(predicted)
            return {
                'loss_cls': self.loss_cls(
                    _by_anchor(cls, self.num_classes), targets.labels.flatten(), counted.flatten(), avg_factor=divisor
                ),
                'loss_bbox': self.loss_bbox(predicted, codes.view_as(predicted), weights, avg_factor=divisor),
                'loss_dir': self.loss_dir(
                    _by_anchor(direction, 2), bins.flatten(), positive.flatten(), avg_factor=divisor
                ),
            }


def _by_anchor(output: Tensor, channels: int) -> Tensor:
    """Turn ``(B, A * channels, H, W)`` into ``(B * H * W * A, channels)`` in full precision."""
    return output.float().permute(0, 2, 3, 1).reshape(-1, channels)

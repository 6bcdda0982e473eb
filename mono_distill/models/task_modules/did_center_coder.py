"""Predictions of a DID-M3D head to 3D boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.models.utils import get_local_maximum, get_topk_from_heatmap
from mmengine.structures import InstanceData
from torch import Tensor

from mono_distill.losses.masked import as_float32
from mono_distill.models.task_modules.center_geometry import gather_at
from mono_distill.models.task_modules.did_geometry import PixelGeometryReader
from mono_distill.models.task_modules.heading_bin_coder import wrap_angle
from mono_distill.models.task_modules.kept_detections import kept_detections
from mono_distill.models.task_modules.mono_center_coder import HEAT_EPS, MonoCenterCoder
from mono_distill.registry import TASK_UTILS


def combine_depth_bins(depth: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    r"""Merge the depths of a box's bins by their confidence (``lib/helpers/decode_helper.py`` of DID-M3D).

    With the confidence :math:`p = \exp(-\exp(s/2))` of a bin, the depth is :math:`\sum p\,d / \sum p` and its
    confidence :math:`\sum p^2 / \sum p`. Computed from the differences to the largest log p, so that bins that are all
    very uncertain, whose p is 0 in single precision, still have a mean.

    Args:
        depth: ``(..., bins, bins)`` metres.
        log_variance: The same shape, :math:`s`.

    Returns:
        Depth in metres and confidence in [0, 1], both ``(...)``.

    Example:
        >>> combine_depth_bins(torch.tensor([[10.0, 20.0]]), torch.tensor([[0.0, 0.0]]))
        (tensor(15.), tensor(0.3679))
    """
    log_p = -torch.exp(log_variance / 2).flatten(-2)
    share = log_p.softmax(-1)
    return (depth.flatten(-2) * share).sum(-1), (log_p.exp() * share).sum(-1)


@TASK_UTILS.register_module()
class DIDCenterCoder(MonoCenterCoder):
    """Find the peaks a DID-M3D head looks at, and decode what it says about them.

    As in the released code, the yaw is alpha plus the ray angle of the centre of the *2D box* (MonoDLE: of the
    projected 3D centre), depths are true metres whatever the crop, and objects with a negative size are dropped.

    Args:
        decode_mode: ``'exact'`` or ``'official'``, see :class:`MonoCenterCoder`.
        stride: Input pixels per cell.
    """

    def __init__(self, decode_mode: str = 'exact', *, stride: int = 4) -> None:
        super().__init__(decode_mode, stride=stride)
        self.geometry = PixelGeometryReader(decode_mode)

    def find_peaks(self, heatmap: Tensor, *, topk: int = 50, local_maximum_kernel: int = 3) -> dict[str, Tensor]:
        """Find the K highest local maxima.

        Args:
            heatmap: Logits (B, C, H, W).
            topk: K; fewer if the map has fewer cells.
            local_maximum_kernel: Window of the maximum.

        Returns:
            ``heat`` (the probability), ``labels``, ``indices`` (y * W + x), each (B, K).
        """
        # mmdet views the heatmap as rows, which maps in channels-last layout do not allow.
        heat = as_float32(heatmap).contiguous().sigmoid().clamp(HEAT_EPS, 1 - HEAT_EPS)
        heat = get_local_maximum(heat, kernel=local_maximum_kernel)
        scores, indices, labels, _, _ = get_topk_from_heatmap(heat, k=min(topk, heat[0].numel()))
        return dict(heat=scores, labels=labels, indices=indices)

    def decode(  # type: ignore[override]
        self, outs: Mapping[str, Tensor], batch_img_metas: Sequence[Mapping[str, Any]], *, score_thr: float = 0.2
    ) -> list[InstanceData]:
        """Turn the head's outputs into detections in the camera of the original image.

        Args:
            outs: Output of the head at the peaks of :meth:`find_peaks`, with the peaks.
            batch_img_metas: See :meth:`MonoCenterCoder.decode`; also ``ori_shape`` and ``img_shape`` (height, width).
                Images must not be flipped.
            score_thr: Threshold on the heatmap's probability (the score is that times the depth confidence).

        Returns:
            Per image ``bboxes_3d`` (K camera boxes), ``scores_3d``, ``labels_3d``, ``bboxes_2d`` (K, 4) xyxy and
            ``alpha`` (K,), in the order of the heatmap's probability.

        Raises:
            DataError: If a meta key is missing.
        """
        peaks = self.read_peaks(outs)
        boxes_3d, boxes_2d = self.boxes(peaks, batch_img_metas)
        scores = peaks['heat'] * peaks['confidence']
        keep = (peaks['heat'] >= score_thr) & (peaks['size_3d'] >= 0).all(-1)
        return kept_detections(
            keep, boxes_3d, scores_3d=scores, labels_3d=peaks['labels'], bboxes_2d=boxes_2d, alpha=peaks['alpha']
        )

    def read_peaks(self, outs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gather what the head says about every peak, see :meth:`MonoCenterCoder.peaks` for the result."""
        values = {name: as_float32(value) for name, value in outs.items()}
        indices, width = values['indices'], outs['heatmap'].shape[-1]
        cells = torch.stack([indices % width, indices // width], dim=-1).to(values['heat'].dtype)
        depth, confidence = combine_depth_bins(values['ins_depth'], values['ins_depth_uncer'])
        return dict(
            heat=values['heat'],
            labels=values['labels'],
            depth=depth,
            confidence=confidence,
            alpha=self.heading_coder.decode(values['heading']),
            centers_2d=(cells + gather_at(values['offset_2d'], indices)) * self.stride,
            size_2d=gather_at(values['size_2d'], indices) * self.stride,
            centers_3d=(cells + values['offset_3d']) * self.stride,
            size_3d=values['size_3d'],
        )

    def boxes(self, peaks: Mapping[str, Tensor], batch_img_metas: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor]:
        """Lift peaks to boxes of the original image, see :meth:`MonoCenterCoder.boxes`.

        Args:
            peaks: Output of :meth:`read_peaks`.
            batch_img_metas: See :meth:`decode`.

        Raises:
            DataError: If a meta key is missing.
        """
        unscaled = [{**meta, 'crop_scale': 1.0} for meta in batch_img_metas]
        boxes_3d, boxes_2d = super().boxes(peaks, unscaled)
        tangent = self.geometry(batch_img_metas, boxes_3d).directions(peaks['centers_2d'])[..., 0]
        yaw = wrap_angle(peaks['alpha'] + torch.atan(tangent))
        return torch.cat([boxes_3d[..., :6], yaw.unsqueeze(-1)], dim=-1), boxes_2d

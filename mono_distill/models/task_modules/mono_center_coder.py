"""Dense predictions of a CenterNet-style monocular head to 3D boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.models.utils import get_local_maximum, get_topk_from_heatmap
from mmengine.structures import InstanceData
from torch import Tensor

from mono_distill.losses.masked import as_float32
from mono_distill.models.task_modules.center_geometry import depth_from_logit, gather_at
from mono_distill.models.task_modules.heading_bin_coder import HeadingBinCoder, wrap_angle
from mono_distill.models.task_modules.kept_detections import kept_detections
from mono_distill.registry import TASK_UTILS
from mono_distill.utils.errors import ConfigError, DataError, did_you_mean

DECODE_MODES = ('exact', 'official')
# Bounds of the heatmap's probabilities in loss and decoding, as in the official code.
HEAT_EPS = 1e-4


@TASK_UTILS.register_module()
class MonoCenterCoder:
    """Decode a batch of MonoDLE outputs, without loops over objects.

    ``decode_mode`` says how input pixels become pixels of the original image:

    * ``'exact'`` (default) inverts the resize that made the input (``trans_mat``).
    * ``'official'`` scales x by W/W_in and y by H/H_in, as the released decoders of MonoDLE, MonoDETR and DID-M3D do.
      Their resize keeps the aspect ratio, so that is not its inverse: v is wrong by up to 1.2 px (375 rows) to 1.9 px
      (376 rows) at the upper and lower border. Only for comparison with released results.

    Args:
        decode_mode: ``'exact'`` or ``'official'``.
        stride: Input pixels per cell.

    Raises:
        ConfigError: If ``decode_mode`` is unknown.
    """

    def __init__(self, decode_mode: str = 'exact', *, stride: int = 4) -> None:
        if decode_mode not in DECODE_MODES:
            raise ConfigError(
                f'MonoCenterCoder: unknown decode_mode {decode_mode!r}; {did_you_mean(decode_mode, DECODE_MODES)}'
            )
        self.decode_mode = decode_mode
        self.stride = stride
        self.heading_coder = HeadingBinCoder()

    def decode(
        self,
        outs: Mapping[str, Tensor],
        batch_img_metas: Sequence[Mapping[str, Any]],
        *,
        score_thr: float = 0.2,
        topk: int = 50,
        local_maximum_kernel: int = 3,
    ) -> list[InstanceData]:
        """Turn the head's maps into detections in the camera of the original image.

        Args:
            outs: The head's output.
            batch_img_metas: Per image ``ori_cam2img`` (3x4 or 4x4, of the original image); ``trans_mat`` (3x3, original
                to input pixels) for ``'exact'``, ``ori_shape`` and ``img_shape`` (H, W) for ``'official'``;
                ``crop_scale`` if depths were scaled by a crop. Images must not be flipped.
            score_thr: Threshold on the heatmap's probability (the score is that times the depth confidence).
            topk: Peaks per image.
            local_maximum_kernel: Window in which a peak must be the maximum.

        Returns:
            Per image ``bboxes_3d`` (K camera boxes), ``scores_3d`` (p * exp(-s), can exceed 1), ``labels_3d``,
            ``bboxes_2d`` (K, 4) xyxy and ``alpha`` (K,), in the order of p.

        Raises:
            DataError: If a meta key is missing.
        """
        peaks = self.peaks(outs, topk=topk, local_maximum_kernel=local_maximum_kernel)
        boxes_3d, boxes_2d = self.boxes(peaks, batch_img_metas)
        scores = peaks['heat'] * peaks['confidence']
        return kept_detections(
            peaks['heat'] >= score_thr,
            boxes_3d,
            scores_3d=scores,
            labels_3d=peaks['labels'],
            bboxes_2d=boxes_2d,
            alpha=peaks['alpha'],
        )

    def peaks(self, outs: Mapping[str, Tensor], *, topk: int = 50, local_maximum_kernel: int = 3) -> dict[str, Tensor]:
        """Read all branches at the K highest local maxima of the heatmap.

        Args:
            outs: The head's output.
            topk: K; fewer if the maps have fewer cells.
            local_maximum_kernel: Window of the maximum.

        Returns:
            ``heat``, ``labels``, ``depth`` (metres), ``confidence`` (exp(-s)), ``alpha`` (B, K); ``centers_2d``,
            ``size_2d``, ``centers_3d`` (B, K, 2) in input pixels; ``size_3d`` (B, K, 3) h, w, l in metres.
        """
        # mmdet views the heatmap as rows, which maps in channels-last layout do not allow.
        outs = {name: as_float32(value).contiguous() for name, value in outs.items()}
        heat = outs['heatmap'].sigmoid().clamp(HEAT_EPS, 1 - HEAT_EPS)
        heat = get_local_maximum(heat, kernel=local_maximum_kernel)
        topk = min(topk, heat[0].numel())
        scores, indices, labels, ys, xs = get_topk_from_heatmap(heat, k=topk)
        cells = torch.stack([xs, ys], dim=-1).to(scores.dtype)
        values = {name: gather_at(value, indices) for name, value in outs.items() if name != 'heatmap'}
        raw_depth, log_scale = values['depth'].unbind(-1)
        return dict(
            heat=scores,
            labels=labels,
            depth=depth_from_logit(raw_depth),
            confidence=torch.exp(-log_scale),
            alpha=self.heading_coder.decode(values['heading']),
            centers_2d=(cells + values['offset_2d']) * self.stride,
            size_2d=values['size_2d'] * self.stride,
            centers_3d=(cells + values['offset_3d']) * self.stride,
            size_3d=values['size_3d'],
        )

    def boxes(self, peaks: Mapping[str, Tensor], batch_img_metas: Sequence[Mapping[str, Any]]) -> tuple[Tensor, Tensor]:
        """Lift peaks to boxes of the original image.

        The pinhole model is KITTI's with division by z alone, as in the official annotations' projection:
        x = (u - cu) z / fu - P[0, 3] / fu. The yaw is alpha plus the ray angle of the projected *3D* centre.

        Args:
            peaks: Output of :meth:`peaks`.
            batch_img_metas: See :meth:`decode`.

        Returns:
            3D boxes (B, K, 7) x, y_bottom, z, l, h, w, yaw in the camera frame (metres, radians) and 2D boxes (B, K, 4)
            xyxy in pixels of the original image.

        Raises:
            DataError: If a meta key is missing.
        """
        depth = peaks['depth']
        to_image = depth.new_tensor(np.stack([self._input_to_image(meta) for meta in batch_img_metas]))
        cam2img = depth.new_tensor(np.stack([np.asarray(_meta(meta, 'ori_cam2img'))[:3] for meta in batch_img_metas]))
        crop_scale = depth.new_tensor([meta.get('crop_scale', 1.0) for meta in batch_img_metas])
        z = depth / crop_scale.unsqueeze(1)
        focal, center, shift = cam2img[:, None, [0, 1], [0, 1]], cam2img[:, None, :2, 2], cam2img[:, None, :2, 3]
        rays = (_transform(to_image, peaks['centers_3d']) - center) / focal
        xy = rays * z.unsqueeze(-1) - shift / focal
        height, width, length = peaks['size_3d'].unbind(-1)
        yaw = wrap_angle(peaks['alpha'] + torch.atan(rays[..., 0]))
        bottom = xy[..., 1] + height / 2
        boxes_3d = torch.stack([xy[..., 0], bottom, z, length, height, width, yaw], dim=-1)
        half = peaks['size_2d'] / 2
        corners = (peaks['centers_2d'] - half, peaks['centers_2d'] + half)
        return boxes_3d, torch.cat([_transform(to_image, corner) for corner in corners], dim=-1)

    def _input_to_image(self, meta: Mapping[str, Any]) -> np.ndarray:
        """Return the 3x3 matrix from input pixels to pixels of the original image."""
        if self.decode_mode == 'exact':
            return np.linalg.inv(np.asarray(_meta(meta, 'trans_mat'), dtype=np.float64))
        (height, width), (input_height, input_width) = _meta(meta, 'ori_shape')[:2], _meta(meta, 'img_shape')[:2]
        return np.diag([width / input_width, height / input_height, 1.0])


def _meta(meta: Mapping[str, Any], key: str) -> Any:
    if key not in meta:
        raise DataError(
            f'MonoCenterCoder: the meta information of {meta.get("img_path", "an image")} lacks {key!r}; end the test '
            'pipeline with mono_distill.PackMono3DInputs.'
        )
    return meta[key]


def _transform(matrix: Tensor, points: Tensor) -> Tensor:
    """Apply affine maps (B, 3, 3) to points (B, K, 2)."""
    # Written out: autocast (and TF32) would run a matrix product in reduced precision, which is pixels here.
    x, y = points[..., :1], points[..., 1:]
    return x * matrix[:, None, :2, 0] + y * matrix[:, None, :2, 1] + matrix[:, None, :2, 2]

"""Queries of MonoDETR to 3D boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from mono_distill.losses.masked import as_float32
from mono_distill.models.task_modules.heading_bin_coder import HeadingBinCoder, wrap_angle
from mono_distill.models.task_modules.kept_detections import kept_detections
from mono_distill.models.task_modules.mono_center_coder import MonoCenterCoder
from mono_distill.models.task_modules.object_slots import host_values, require_meta
from mono_distill.registry import TASK_UTILS

_NAME = 'MonoDETRCoder'
_CHANNELS = dict(bboxes=6, dims=3, depth=2, heading=24)


@TASK_UTILS.register_module()
class MonoDETRCoder:
    """Decode a batch of MonoDETR outputs, without loops over objects.

    Candidates are the highest of all pairs of query and class of the last decoder layer, so a query may give boxes of
    two classes. There is no suppression of duplicates.

    Args:
        decode_mode: How input pixels become pixels of the original image: ``'exact'`` or ``'official'``, see
            :class:`MonoCenterCoder`.

    Raises:
        ConfigError: If ``decode_mode`` is unknown.
    """

    def __init__(self, decode_mode: str = 'exact') -> None:
        # MonoDETR shares the camera model with CenterNet-style heads; only the ray of the yaw is another.
        self.center_coder = MonoCenterCoder(decode_mode)
        self.decode_mode = decode_mode
        self.heading_coder = HeadingBinCoder()

    def decode(
        self,
        outs: Mapping[str, Tensor],
        batch_img_metas: Sequence[Mapping[str, Any]],
        *,
        score_thr: float = 0.2,
        topk: int = 50,
    ) -> list[InstanceData]:
        """Turn the queries into detections in the camera of the original image.

        Args:
            outs: The head's output, see :meth:`candidates`.
            batch_img_metas: Per image ``img_shape`` (H, W) of the input, and what :meth:`MonoCenterCoder.decode` needs:
                ``ori_cam2img``; ``trans_mat`` for ``'exact'``, ``ori_shape`` for ``'official'``; ``crop_scale`` if
                depths were scaled by a crop. Images must not be flipped.
            score_thr: Threshold on the class probability (the score is that times the depth confidence).
            topk: Candidates per image.

        Returns:
            Per image ``bboxes_3d`` (K camera boxes), ``scores_3d`` (p * exp(-s), can exceed 1), ``labels_3d``,
            ``bboxes_2d`` (K, 4) xyxy in pixels of the original image and ``alpha`` (K,), in the order of p.

        Raises:
            DataError: If a meta key is missing.
        """
        found = self.candidates(outs, topk=topk)
        boxes_3d, boxes_2d = self.boxes(found, batch_img_metas)
        scores = found['prob'] * found['confidence']
        return kept_detections(
            found['prob'] >= score_thr,
            boxes_3d,
            scores_3d=scores,
            labels_3d=found['labels'],
            bboxes_2d=boxes_2d,
            alpha=found['alpha'],
        )

    def candidates(self, outs: Mapping[str, Tensor], *, topk: int = 50) -> dict[str, Tensor]:
        """Read the last decoder layer at the K highest pairs of query and class.

        Args:
            outs: ``cls_scores`` (L, B, Q, C) logits, ``bboxes`` (L, B, Q, 6) cx, cy, l, r, t, b as fractions of the
                input, ``dims`` (L, B, Q, 3) h, w, l in metres, ``depth`` (L, B, Q, 2) metres and log scale, ``heading``
                (L, B, Q, 24). The queries are those of one group.
            topk: K; fewer if there are fewer pairs.

        Returns:
            ``prob``, ``labels``, ``queries``, ``depth`` (metres), ``confidence`` (exp(-s)), ``alpha`` (B, K);
            ``centers_2d``, ``size_2d``, ``centers_3d`` (B, K, 2) as fractions of the input; ``size_3d`` (B, K, 3) h, w,
            l in metres.
        """
        last = {name: as_float32(outs[name][-1]) for name in _CHANNELS}
        logits = as_float32(outs['cls_scores'][-1])
        num_classes = logits.shape[-1]
        probs = logits.sigmoid().flatten(1)
        prob, index = probs.topk(min(topk, probs.shape[1]), dim=1)
        queries = index.div(num_classes, rounding_mode='floor')
        # One gather for all branches: the tensors are tiny, the calls are what takes time.
        rows = torch.cat(list(last.values()), dim=-1)
        rows = rows.gather(1, queries.unsqueeze(-1).expand(-1, -1, rows.shape[-1]))
        chosen = dict(zip(_CHANNELS, rows.split(list(_CHANNELS.values()), dim=-1), strict=True))
        center, near, far = chosen['bboxes'][..., :2], chosen['bboxes'][..., 2::2], chosen['bboxes'][..., 3::2]
        depth, log_scale = chosen['depth'].unbind(-1)
        return dict(
            prob=prob,
            labels=index % num_classes,
            queries=queries,
            depth=depth,
            confidence=torch.exp(-log_scale),
            alpha=self.heading_coder.decode(chosen['heading']),
            centers_2d=center + (far - near) / 2,
            size_2d=near + far,
            centers_3d=center,
            size_3d=chosen['dims'],
        )

    def boxes(
        self, candidates: Mapping[str, Tensor], batch_img_metas: Sequence[Mapping[str, Any]]
    ) -> tuple[Tensor, Tensor]:
        """Lift candidates to boxes of the original image.

        The yaw is alpha plus the angle of the ray through the middle of the *2D box*, as in training; the rest is that
        of :meth:`MonoCenterCoder.boxes`.

        Args:
            candidates: Output of :meth:`candidates`.
            batch_img_metas: See :meth:`decode`.

        Returns:
            3D boxes (B, K, 7) x, y_bottom, z, l, h, w, yaw in the camera frame (metres, radians) and 2D boxes (B, K, 4)
            xyxy in pixels of the original image.

        Raises:
            DataError: If a meta key is missing.
        """
        depth = candidates['depth']
        shapes = require_meta(batch_img_metas, 'img_shape', owner=_NAME)
        cameras = require_meta(batch_img_metas, 'ori_cam2img', owner=_NAME)
        numbers = [
            (shape[1], shape[0], camera[0, 0], camera[0, 2])
            for shape, camera in zip(shapes, map(np.asarray, cameras), strict=True)
        ]
        size, camera = host_values(numbers, like=depth).unsqueeze(1).split(2, dim=-1)
        focal, center = camera.unbind(-1)
        pixels = {name: candidates[name] * size for name in ('centers_2d', 'size_2d', 'centers_3d')}
        boxes_3d, boxes_2d = self.center_coder.boxes({**candidates, **pixels}, batch_img_metas)
        middle = (boxes_2d[..., 0] + boxes_2d[..., 2]) / 2
        boxes_3d[..., 6] = wrap_angle(candidates['alpha'] + torch.atan((middle - center) / focal))
        return boxes_3d, boxes_2d

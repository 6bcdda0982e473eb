"""How good each of a teacher's detections is, by the annotated object it belongs to (STXD, NeurIPS 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.ops.box_code import decode_box_code
from mono_distill.ops.object_matching import object_cost
from mono_distill.ops.prediction_matching import hungarian_matching
from mono_distill.ops.prediction_quality import prediction_quality, quality_by_overlap
from mono_distill.ops.rotated_iou_torch import rotated_iou_3d
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

Matching = Literal['overlap', 'one_to_one']
_OWNER = 'matched_quality'
# Position, size and yaw of a box.
_SOLID = 7


@torch.no_grad()
def matched_quality(
    predictions: Mapping[str, Tensor],
    objects: Mapping[str, Tensor],
    *,
    gamma: float = 0.5,
    matching: Matching = 'overlap',
) -> Tensor:
    r"""Quality :math:`q = c^{1 - \gamma} \operatorname{IoU}^\gamma` of every detection.

    (STXD; slide 8 of the authors' talk. :math:`\gamma` and the matching with annotated objects are not printed there.)
    The IoU is that of the boxes in 3D. A detection without an object has quality 0.

    Args:
        predictions: ``logits`` (B, R, K), ``boxes`` (B, R, 8 or 10) codes, ``labels`` and ``scores`` (B, R) of the
            predicted class and ``valid`` (B, R) bool, see :func:`mono_distill.targets.center_predictions`.
        objects: ``codes`` (B, N, 10), ``labels`` and ``mask`` (B, N), see :func:`mono_distill.targets.gt_box_codes`.
        gamma: See :func:`mono_distill.ops.prediction_quality`.
        matching: ``'overlap'``: each detection belongs to the object of its class that it overlaps most, so that an
            object may have several; c is the probability of that class. ``'one_to_one'``: each object has at most one
            detection, at the least total cost of :func:`mono_distill.ops.object_matching.object_cost`; c is the
            probability of the object's class, whatever the detection's own is. The host waits for the device once.

    Returns:
        (B, R) from 0 to 1; 0 in slots that are not valid.

    Raises:
        ConfigError: An option is out of range or a tensor is missing.
        ShapeError: The shapes do not fit.
    """
    _check_options(gamma, matching)
    (logits,) = require_tensors(predictions, {'logits': (None,) * 3}, owner=f'{_OWNER}: predictions')
    batch, count, _ = logits.shape
    shapes: dict[str, tuple[int | None, ...]] = dict.fromkeys(('labels', 'scores', 'valid'), (batch, count))
    labels, scores, valid = require_tensors(predictions, shapes, owner=f'{_OWNER}: predictions')
    (boxes,) = require_tensors(predictions, {'boxes': (batch, count, None)}, owner=f'{_OWNER}: predictions')
    (mask,) = require_tensors(objects, {'mask': (batch, None)}, owner=f'{_OWNER}: objects')
    slots = mask.shape[1]
    shapes = {'labels': (batch, slots), 'codes': (batch, slots, None)}
    object_labels, codes = require_tensors(objects, shapes, owner=f'{_OWNER}: objects')
    solid, real = (decode_box_code(code[..., :8])[..., :_SOLID] for code in (boxes, codes))
    overlaps = rotated_iou_3d(solid.unsqueeze(2), real.unsqueeze(1))
    if matching == 'overlap':
        quality = quality_by_overlap(scores, labels, overlaps, object_labels, mask, gamma=gamma)
    else:
        cost = object_cost(logits, boxes[..., :8], object_labels, codes[..., :8])
        pairs = hungarian_matching(cost, student_valid=valid, teacher_valid=mask)
        quality = _quality_of_pairs(logits, object_labels, overlaps, pairs, gamma)
    return torch.where(valid, quality, 0.0)


def _quality_of_pairs(
    logits: Tensor, object_labels: Tensor, overlaps: Tensor, pairs: Mapping[str, Tensor], gamma: float
) -> Tensor:
    """Quality (B, R) of detections that have an object of their own."""
    found, goal = pairs['student'], pairs['teacher']
    label = object_labels.gather(1, goal)
    flat = found * logits.shape[2] + label
    confidence = logits.sigmoid().flatten(1).gather(1, flat)
    iou = overlaps.flatten(1).gather(1, found * overlaps.shape[2] + goal)
    quality = torch.where(pairs['valid'], prediction_quality(confidence, iou, gamma=gamma), 0.0)
    # Slots without a pair point to the first detection; the maximum keeps what another slot says of it.
    return torch.zeros_like(logits[..., 0]).scatter_reduce(1, found, quality, 'amax')


def _check_options(gamma: float, matching: str) -> None:
    if matching not in get_args(Matching):
        raise ConfigError(f"matched_quality: matching must be 'overlap' or 'one_to_one', got '{matching}'.")
    if not 0 <= gamma <= 1:
        raise ConfigError(f'matched_quality: gamma must be within [0, 1], got {gamma}.')


@MODELS.register_module()
class MatchedQuality(nn.Module):
    """Module form of :func:`matched_quality`, for the ``targets`` of a distiller.

    Args:
        gamma: From 0 (confidence only) to 1 (overlap only).
        matching: ``'overlap'`` or ``'one_to_one'``.
    """

    def __init__(self, gamma: float = 0.5, *, matching: Matching = 'overlap') -> None:
        super().__init__()
        _check_options(gamma, matching)
        self.gamma = gamma
        self.matching: Matching = matching

    def forward(self, predictions: Mapping[str, Tensor], objects: Mapping[str, Tensor]) -> Tensor:
        """See :func:`matched_quality`."""
        return matched_quality(predictions, objects, gamma=self.gamma, matching=self.matching)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'gamma={self.gamma}, matching={self.matching!r}'

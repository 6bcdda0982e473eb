"""What it costs to make a prediction responsible for an annotated object."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.utils.errors import ShapeError

_ALPHA, _GAMMA, _EPS = 0.25, 2, 1e-12


@torch.no_grad()
def object_cost(
    logits: Tensor,
    boxes: Tensor,
    object_labels: Tensor,
    object_boxes: Tensor,
    *,
    class_weight: float = 2.0,
    box_weight: float = 0.25,
    box_entries: int = 8,
) -> Tensor:
    r"""Cost of every prediction for every object, for :func:`mono_distill.ops.hungarian_matching`.

    .. math:: w_{cls} \left(-\alpha (1 - p)^\gamma \log(p + \epsilon) + (1 - \alpha) p^\gamma \log(1 - p + \epsilon)
        \right) + w_{box} \sum_{d < 8} |\hat b_d - b_d|

    with p the probability of the object's class, b the box code without velocity, :math:`\alpha = 0.25` and
    :math:`\gamma = 2`: the assigner of DETR3D and BEVFormer (``HungarianAssigner3D``), UVTR and BEVDistill.

    Args:
        logits: ``(..., Q, K)``; leading dimensions may hold decoder layers and images.
        boxes: ``(..., Q, D)`` codes, see :func:`mono_distill.ops.encode_box_code`.
        object_labels: ``(..., N)`` classes in 0 .. K - 1; leading dimensions broadcast.
        object_boxes: ``(..., N, D)`` codes.
        class_weight: :math:`w_{cls}`.
        box_weight: :math:`w_{box}`.
        box_entries: How many entries of the code count.

    Returns:
        ``(..., Q, N)``, at least float32, without gradient.

    Raises:
        ShapeError: The shapes do not fit.

    Example:
        >>> box = torch.zeros(1, 10)
        >>> cost = object_cost(torch.tensor([[9.0, -9.0]]), box + 0.5, torch.tensor([1, 0]), box.expand(2, 10))
        >>> cost.round()
        tensor([[  5., -12.]])
    """
    codes = min(boxes.shape[-1], object_boxes.shape[-1])
    fits = logits.shape[:-1] == boxes.shape[:-1] and object_labels.shape == object_boxes.shape[:-1]
    if not fits or codes < box_entries or boxes.shape[-1] != object_boxes.shape[-1]:
        raise ShapeError(
            f'object_cost: logits {tuple(logits.shape)}, boxes {tuple(boxes.shape)}, object_labels '
            f'{tuple(object_labels.shape)} and object_boxes {tuple(object_boxes.shape)}; expected (..., Q, K), '
            f'(..., Q, D), (..., N) and (..., N, D) with D of at least {box_entries}.'
        )
    logits, boxes = (x if x.dtype == torch.float64 else x.float() for x in (logits, boxes))
    with torch.autocast(logits.device.type, enabled=False):
        p = logits.sigmoid()
        positive = _ALPHA * (1 - p).pow(_GAMMA) * -(p + _EPS).log()
        negative = (1 - _ALPHA) * p.pow(_GAMMA) * -(1 - p + _EPS).log()
        index = object_labels.unsqueeze(-2).expand(*logits.shape[:-1], -1)
        classes = (positive - negative).gather(-1, index)
        distance = torch.cdist(boxes[..., :box_entries], object_boxes[..., :box_entries].to(boxes.dtype), p=1.0)
        return class_weight * classes + box_weight * distance

"""Boxes out of queries, without suppression of non-maxima."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet3d.structures import LiDARInstance3DBoxes
from mmengine.structures import InstanceData
from torch import Tensor

from mono_distill.ops.box_code import decode_box_code
from mono_distill.utils.errors import ShapeError


def decode_queries(
    logits: Tensor,
    codes: Tensor,
    *,
    max_num: int = 300,
    score_thr: float = 0.0,
    center_range: Sequence[float] | None = None,
) -> list[InstanceData]:
    """Turn the queries of the last layer into boxes (DETR3D's NMS-free coder).

    The best pairs of query and class are kept: a query may be counted under several classes.

    Args:
        logits: (B, Q, K).
        codes: (B, Q, 10) box codes in metres.
        max_num: Most boxes of an image.
        score_thr: Boxes of a lower probability are dropped.
        center_range: x, y, z of the lower and of the upper corner, in metres, between which the centre of a box must
            lie; ``None``: anywhere.

    Returns:
        Per image ``bboxes_3d`` (:class:`LiDARInstance3DBoxes` with velocity), ``scores_3d`` and ``labels_3d``, best
        first.

    Raises:
        ShapeError: The shapes do not fit.
    """
    if logits.dim() != 3 or tuple(codes.shape) != (*logits.shape[:2], 10):
        raise ShapeError(
            f'decode_queries: logits {tuple(logits.shape)} and codes {tuple(codes.shape)}; expected (B, Q, K) and '
            '(B, Q, 10).'
        )
    classes = logits.shape[2]
    scores, index = logits.float().sigmoid().flatten(1).topk(min(max_num, logits[0].numel()), dim=1)
    chosen = codes.float().gather(1, (index // classes).unsqueeze(-1).expand(-1, -1, 10))
    boxes = decode_box_code(chosen)
    kept = scores >= score_thr
    if center_range is not None:
        low, high = (boxes.new_tensor(list(center_range[part])) for part in (slice(0, 3), slice(3, 6)))
        kept &= ((boxes[..., :3] >= low) & (boxes[..., :3] <= high)).all(-1)
    results = []
    for image, keep in enumerate(kept):
        found = boxes[image][keep]
        # The middle of the box is where its origin is half-way up.
        solid = LiDARInstance3DBoxes(found, box_dim=9, origin=(0.5, 0.5, 0.5))
        results.append(
            InstanceData(bboxes_3d=solid, scores_3d=scores[image][keep], labels_3d=(index[image] % classes)[keep])
        )
    return results

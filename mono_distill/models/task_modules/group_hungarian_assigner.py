"""One-to-one matching of queries and objects within groups of queries (MonoDETR)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.models.task_modules.monodetr_boxes import edges_to_corners
from mono_distill.models.task_modules.object_slots import host_values
from mono_distill.registry import TASK_UTILS
from mono_distill.utils.errors import ConfigError, NonFiniteError, ShapeError

_NAME = 'GroupHungarianAssigner'
FOCAL_ALPHA, FOCAL_GAMMA, FOCAL_EPS = 0.25, 2, 1e-8


@TASK_UTILS.register_module()
class GroupHungarianAssigner(nn.Module):
    r"""Match every object with one query of every group at the least total cost.

    MonoDETR (Zhang et al., ICCV 2023) trains 11 groups of 50 queries, as Group DETR (Chen et al., ICCV 2023) does;
    queries :math:`50 g \dots 50 g + 49` are group g. The cost of a query for an object is

    .. math:: w_{cls} F(p) + w_{center} \lVert \hat c - c \rVert_1 + w_{bbox} \lVert \hat e - e \rVert_1
        - w_{giou} \mathrm{GIoU}, \qquad
        F(p) = -\alpha (1 - p)^\gamma \log(p + \epsilon) + (1 - \alpha) p^\gamma \log(1 - p + \epsilon)

    with p the probability of the object's class, c the projected 3D centre, e the distances to the edges of the 2D box
    (all as fractions of the input), and :math:`\alpha = 0.25, \gamma = 2, \epsilon = 10^{-8}`
    (``lib/models/monodetr/matcher.py`` of the official code). If there are more objects than queries in a group, the
    objects that cost most stay without.

    The costs of all decoder layers go to the host in one transfer, and the result comes back in one. The official code
    compares each image's queries with the objects of the whole batch and transfers layer by layer. It has no parameters
    and is a module so that forward hooks can record the result.

    Args:
        num_queries: Queries per group.
        cls_weight: Weight of the class cost.
        center_weight: Weight of the distance of the projected 3D centres.
        bbox_weight: Weight of the difference of the edge distances.
        giou_weight: Weight of the generalised IoU of the 2D boxes.

    Raises:
        ConfigError: There are no queries, or a weight is negative.
    """

    def __init__(
        self,
        num_queries: int = 50,
        *,
        cls_weight: float = 2.0,
        center_weight: float = 10.0,
        bbox_weight: float = 5.0,
        giou_weight: float = 2.0,
    ) -> None:
        super().__init__()
        weights = (cls_weight, center_weight, bbox_weight, giou_weight)
        if num_queries < 1 or min(weights) < 0:
            raise ConfigError(
                f'{_NAME}: num_queries must be positive and no weight negative, got num_queries={num_queries} and '
                f'weights {weights}.'
            )
        self.num_queries = num_queries
        self.cls_weight, self.center_weight, self.bbox_weight, self.giou_weight = weights

    @torch.no_grad()
    def forward(self, outs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Match a batch.

        Args:
            outs: Output of the head: ``cls_scores`` (L, B, Q, C) logits and ``bboxes`` (L, B, Q, 6) cx, cy, l, r, t, b
                for L decoder layers; Q is a multiple of ``num_queries``.
            targets: ``labels``, ``mask_2d`` (B, N) and ``boxes`` (B, N, 6) of :class:`MonoDETRTargetEncoder`.

        Returns:
            For G = Q / num_queries groups ``queries`` (L, B, G, N) int64, the query (0 .. Q - 1) of each object, 0
            where there is none, and ``mask`` (L, B, G, N) bool, where there is one.

        Raises:
            ConfigError, ShapeError: An input is missing or has another shape.
            NonFiniteError: A cost is NaN or infinite, because the network's outputs are.
        """
        shape = self._check(outs, targets)
        costs = self.costs(outs, targets)
        # The mask travels with the costs, as one more query.
        valid = targets['mask_2d'].to(costs.dtype)[None, :, None].expand(shape[0], -1, -1, -1)
        host = torch.cat([costs, valid], dim=2).cpu().numpy()
        matched = self._solve(host[:, :, :-1], host[0, :, -1] > 0)
        queries = host_values(matched, like=targets['labels'])
        return dict(queries=queries.clamp(min=0), mask=queries >= 0)

    def costs(self, outs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Return the costs (L, B, Q, N) in single precision at least; those of empty slots mean nothing."""
        boxes = targets['boxes']
        with full_precision(boxes):
            pred = as_float32(outs['bboxes'])
            cost = self.cls_weight * _class_costs(as_float32(outs['cls_scores']), targets['labels'])
            expected = boxes.to(pred.dtype).expand(len(pred), -1, -1, -1)
            cost += self.center_weight * torch.cdist(pred[..., :2], expected[..., :2], p=1)
            cost += self.bbox_weight * torch.cdist(pred[..., 2:], expected[..., 2:], p=1)
            cost -= self.giou_weight * bbox_overlaps(edges_to_corners(pred), edges_to_corners(expected), mode='giou')
        return cost

    def _check(self, outs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> tuple[int, ...]:
        (scores,) = require_tensors(outs, dict(cls_scores=(None,) * 4), owner=f'{_NAME}: outs')
        layers, batch, queries, _ = scores.shape
        require_tensors(outs, dict(bboxes=(layers, batch, queries, 6)), owner=f'{_NAME}: outs')
        (mask,) = require_tensors(targets, dict(mask_2d=(batch, None)), owner=f'{_NAME}: targets')
        slots = mask.shape[1]
        shapes = dict(labels=(batch, slots), boxes=(batch, slots, 6))
        require_tensors(targets, shapes, owner=f'{_NAME}: targets')
        if not queries or queries % self.num_queries:
            raise ShapeError(
                f'{_NAME}: there are {queries} queries, expected a multiple of num_queries={self.num_queries}, the '
                'queries of one group.'
            )
        return tuple(scores.shape)

    def _solve(self, costs: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Match on the host: costs (L, B, Q, N) and valid (B, N) to queries (L, B, G, N), -1 where there is none."""
        layers, batch, queries, slots = costs.shape
        groups = queries // self.num_queries
        matched = np.full((layers, batch, groups, slots), -1, dtype=np.int64)
        for b in np.flatnonzero(valid.any(1)):
            objects = np.flatnonzero(valid[b])
            # (L, N, Q) in double precision, as scipy wants them: few rows, many columns.
            image = np.ascontiguousarray(costs[:, b, :, objects].transpose(1, 0, 2), dtype=np.float64)
            if not np.isfinite(image).all():
                raise NonFiniteError(_non_finite_message(image, int(b)))
            for layer in range(layers):
                for g in range(groups):
                    start = g * self.num_queries
                    rows, columns = linear_sum_assignment(image[layer, :, start : start + self.num_queries])
                    matched[layer, b, g, objects[rows]] = start + columns
        return matched

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'num_queries={self.num_queries}, cls_weight={self.cls_weight}, center_weight={self.center_weight}, '
            f'bbox_weight={self.bbox_weight}, giou_weight={self.giou_weight}'
        )


def _class_costs(logits: Tensor, labels: Tensor) -> Tensor:
    """Focal cost (L, B, Q, N) of logits (L, B, Q, C) for labels (B, N)."""
    p = logits.sigmoid()
    positive = FOCAL_ALPHA * (1 - p).pow(FOCAL_GAMMA) * -(p + FOCAL_EPS).log()
    negative = (1 - FOCAL_ALPHA) * p.pow(FOCAL_GAMMA) * -(1 - p + FOCAL_EPS).log()
    index = labels[None, :, None].expand(*logits.shape[:3], -1)
    return (positive - negative).gather(-1, index)


def _non_finite_message(costs: NDArray[np.float64], image: int) -> str:
    layer = int(np.flatnonzero(~np.isfinite(costs).all(axis=(1, 2)))[0])
    return (
        f'{_NAME}: the matching costs of decoder layer {layer} for image {image} of the batch are not finite, so the '
        'class logits or boxes of the network are not. Training has diverged: lower the learning rate, clip gradients '
        '(optim_wrapper.clip_grad), or check the weights that were loaded.'
    )

"""Matching of queries with objects and the losses on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32, global_avg_factors
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.models.task_modules.object_slots import host_values
from mono_distill.ops.object_matching import object_cost
from mono_distill.ops.prediction_matching import hungarian_matching
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, did_you_mean

_NAME = 'BEVFormerCriterion'
# Weights of the released configs (projects/configs/bevformer/bevformer_base.py).
DEFAULT_LOSSES: dict[str, dict[str, Any]] = dict(
    cls=dict(type='mmdet.FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=2.0),
    bbox=dict(type='mmdet.L1Loss', loss_weight=0.25),
)
CODE_WEIGHTS = (1.0,) * 8 + (0.2, 0.2)
_CODE = 10


class BEVFormerCriterion(nn.Module):
    """Focal and L1 loss of every decoder layer, each on its own one-to-one matching (DETR3D, CoRL 2021; BEVFormer).

    A query's cost for an object is 2 times the focal cost of its class plus 0.25 times the L1 distance of the codes
    without velocity, see :func:`mono_distill.ops.object_matching.object_cost`. The costs of all layers and images go to
    the host in one transfer. Both losses are sums divided by the number of matched objects (at least 1; in distributed
    training the mean over ranks): the focal loss over all queries and classes, the L1 distance of the codes over
    matched queries, entries weighted by ``code_weights``; entries that are NaN in the object (an unknown velocity) do
    not count.

    Args:
        losses: Configs that replace the published ones, ``cls`` and ``bbox``.
        code_weights: Weights of the ten entries of the code.
        cls_cost: Weight of the class in the matching.
        bbox_cost: Weight of the box in the matching.

    Raises:
        ConfigError: ``losses`` names something unknown, or there are not ten code weights.
    """

    def __init__(
        self,
        losses: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        code_weights: Sequence[float] = CODE_WEIGHTS,
        cls_cost: float = 2.0,
        bbox_cost: float = 0.25,
    ) -> None:
        super().__init__()
        for name in losses or ():
            if name not in DEFAULT_LOSSES:
                raise ConfigError(f'{_NAME}: losses has no entry {name!r}; {did_you_mean(name, DEFAULT_LOSSES)}')
        if len(code_weights) != _CODE:
            raise ConfigError(f'{_NAME}: code_weights needs {_CODE} numbers, got {len(code_weights)}.')
        cfgs = {**DEFAULT_LOSSES, **(losses or {})}
        self.losses = nn.ModuleDict({name: MODELS.build(dict(cfg)) for name, cfg in cfgs.items()})
        self.code_weights = tuple(float(weight) for weight in code_weights)
        self.cls_cost, self.bbox_cost = cls_cost, bbox_cost

    def match(self, logits: Tensor, codes: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Match the queries of all layers, see :func:`mono_distill.ops.hungarian_matching`.

        Args:
            logits: (L, B, Q, K).
            codes: (L, B, Q, 10) in metres.
            targets: ``codes`` (B, N, 10), ``labels`` and ``mask`` (B, N).

        Returns:
            ``student`` (queries), ``teacher`` (objects) and ``valid`` (L, B, P).
        """
        cost = object_cost(
            logits, codes, targets['labels'], targets['codes'], class_weight=self.cls_cost, box_weight=self.bbox_cost
        )
        return hungarian_matching(cost, teacher_valid=targets['mask'])

    def forward(self, logits: Tensor, codes: Tensor, targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the losses, in single precision at least.

        Args:
            logits: (L, B, Q, K) class logits of L decoder layers.
            codes: (L, B, Q, 10) box codes in metres.
            targets: See :func:`mono_distill.ops.gt_box_codes`.

        Returns:
            ``loss_cls`` and ``loss_bbox`` of the last layer, ``d<i>.loss_cls`` and ``d<i>.loss_bbox`` of the others.
        """
        outs = dict(logits=logits, codes=codes)
        (logits,) = require_tensors(outs, dict(logits=(None,) * 4), owner=_NAME)
        (codes,) = require_tensors(outs, dict(codes=(*logits.shape[:3], _CODE)), owner=_NAME)
        batch, slots = logits.shape[1], targets['mask'].shape[1]
        shapes = dict(codes=(batch, slots, _CODE), labels=(batch, slots), mask=(batch, slots))
        require_tensors(targets, shapes, owner=f'{_NAME}: targets')
        with full_precision(logits):
            logits, codes = as_float32(logits), as_float32(codes)
            pairs = self.match(logits, codes, targets)
            count = global_avg_factors(pairs['valid'][-1].sum())
            terms = dict(
                cls=self._class_terms(logits, targets['labels'], pairs) / count,
                bbox=self._box_terms(codes, targets['codes'], pairs) / count,
            )
        last = len(logits) - 1
        return {
            f'{"" if layer == last else f"d{layer}."}loss_{name}': values[layer]
            for layer in range(last + 1)
            for name, values in terms.items()
        }

    def _class_terms(self, logits: Tensor, labels: Tensor, pairs: Mapping[str, Tensor]) -> Tensor:
        """Sum of the class loss of each layer (L,)."""
        layers, batch, queries, classes = logits.shape
        index = pairs['student'] * classes + labels.expand(layers, -1, -1).gather(2, pairs['teacher'])
        # Slots without a pair point to the first query and must not undo what another slot says.
        one_hot = logits.new_zeros(layers, batch, queries * classes)
        one_hot = one_hot.scatter_reduce(2, index, pairs['valid'].to(logits.dtype), 'amax').view(-1, classes)
        values: Tensor = self.losses['cls'](logits.flatten(0, 2), one_hot, reduction_override='none')
        return values.view_as(logits).sum((1, 2, 3))

    def _box_terms(self, codes: Tensor, goal: Tensor, pairs: Mapping[str, Tensor]) -> Tensor:
        """Sum of the box loss of each layer (L,)."""
        entries = (-1, -1, -1, _CODE)
        pred = codes.gather(2, pairs['student'].unsqueeze(-1).expand(entries))
        goal = goal.to(codes.dtype).expand(len(codes), *entries[1:])
        goal = goal.gather(2, pairs['teacher'].unsqueeze(-1).expand(entries))
        kept = pairs['valid'].unsqueeze(-1) & goal.isfinite()
        values = self.losses['bbox'](pred, torch.where(kept, goal, 0.0), reduction_override='none')
        weights = host_values(self.code_weights, like=pred)
        return torch.where(kept, values * weights, 0.0).sum((1, 2, 3))

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'code_weights={self.code_weights}, cls_cost={self.cls_cost}, bbox_cost={self.bbox_cost}'

"""The losses of MonoDETR on matched queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mono_distill.losses.ddn import DDNLoss
from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32, global_avg_factors
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.models.task_modules.monodetr_boxes import edges_to_corners
from mono_distill.models.task_modules.object_slots import host_values
from mono_distill.ops.box_depth_map import box_depth_map
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, did_you_mean

_NAME = 'MonoDETRCriterion'
# Published weights (lib/models/monodetr/monodetr.py and configs/monodetr.yaml of the official code).
DEFAULT_LOSSES: dict[str, dict[str, Any]] = dict(
    cls=dict(type='mmdet.FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=2.0),
    center=dict(type='mmdet.L1Loss', loss_weight=10.0),
    bbox=dict(type='mmdet.L1Loss', loss_weight=5.0),
    giou=dict(type='mmdet.GIoULoss', loss_weight=2.0),
    dims=dict(type='mono_distill.DimAwareL1Loss'),
    heading=dict(type='mono_distill.HeadingBinLoss'),
    depth=dict(type='mono_distill.LaplacianUncertaintyLoss', param='scale'),
    depth_map=dict(type=DDNLoss),
)
# Channels of the outputs per query; those of the class logits are free.
_CHANNELS = dict(bboxes=6, dims=3, depth=2, heading=24)


@MODELS.register_module()
class MonoDETRCriterion(nn.Module):
    r"""All losses of MonoDETR (Zhang et al., ICCV 2023, section 3.4) for all decoder layers.

    With N the objects of the batch times the groups of queries, every term is a sum over N matched queries divided by N
    (at least 1; in distributed training the mean over ranks, as DDP needs it):

    * ``cls``: sigmoid focal loss over all queries and classes, the matched ones positive;
    * ``center``, ``bbox``: L1 of the projected 3D centre and of the distances to the edges of the 2D box;
    * ``giou``: 1 - GIoU of the 2D boxes;
    * ``dims``: dimension-aware L1 of h, w, l; ``heading``: cross entropy of the bin plus L1 of the residual;
    * ``depth``: Laplacian uncertainty loss;
    * ``depth_map`` (once): see :func:`mono_distill.losses.ddn.ddn_loss`, on the depth of the nearest 2D box.

    Every decoder layer has its own matching and all terms but the last. Images without objects train the classes and
    the depth map only; every output receives a gradient, if only zero. Images whose annotations are unknown
    (``targets['labelled']``) train nothing.

    Args:
        losses: Configs that replace single entries of the published losses (``cls``, ``center``, ``bbox``, ``giou``,
            ``dims``, ``heading``, ``depth``, ``depth_map``), for example to change a ``loss_weight``.

    Raises:
        ConfigError: If ``losses`` names something unknown.
    """

    def __init__(self, losses: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        super().__init__()
        for name in losses or ():
            if name not in DEFAULT_LOSSES:
                raise ConfigError(f'{_NAME}: losses has no entry {name!r}; {did_you_mean(name, DEFAULT_LOSSES)}')
        cfgs = {**DEFAULT_LOSSES, **(losses or {})}
        self.losses = nn.ModuleDict({name: MODELS.build(dict(cfg)) for name, cfg in cfgs.items()})

    def forward(
        self, outs: Mapping[str, Tensor], targets: Mapping[str, Tensor], assignment: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Compute the losses, in single precision at least.

        Args:
            outs: Output of the head for L decoder layers: ``cls_scores`` (L, B, Q, C) logits, ``bboxes`` (L, B, Q, 6),
                ``dims`` (L, B, Q, 3), ``depth`` (L, B, Q, 2) metres and log scale, ``heading`` (L, B, Q, 24) and
                ``depth_logits`` (B, D + 1, h, w).
            targets: Output of :class:`MonoDETRTargetEncoder`.
            assignment: Output of :class:`GroupHungarianAssigner`.

        Returns:
            Weighted losses: ``loss_<name>`` of the last layer and ``d<i>.loss_<name>`` of the others, as mmdet's DETR
            heads name them.

        Raises:
            ConfigError, ShapeError: An input is missing or has another shape.
        """
        outs = self._checked(outs, assignment)
        layers, _, groups, _ = assignment['queries'].shape
        with full_precision(outs['cls_scores']):
            num_matched, num_images = self._divisors(targets, groups)
            queries, mask = assignment['queries'].flatten(2), assignment['mask'].flatten(2)
            pred = {name: _take(outs[name], queries) for name in _CHANNELS}
            goal = {
                name: targets[name].unsqueeze(1).expand(-1, groups, *[-1] * (targets[name].dim() - 1)).flatten(1, 2)
                for name in ('labels', 'boxes', 'size_3d', 'depth', 'heading_bin', 'heading_res')
            }
            terms = dict(cls=self._class_terms(outs['cls_scores'], goal['labels'], queries, mask, targets))
            terms.update(self._box_terms(pred['bboxes'], goal['boxes'], mask))
            terms = {name: values / num_matched for name, values in terms.items()}
            losses = {}
            for layer in range(layers):
                prefix = '' if layer == layers - 1 else f'd{layer}.'
                losses.update({f'{prefix}loss_{name}': values[layer] for name, values in terms.items()})
                current = {name: value[layer] for name, value in pred.items()}
                further = self._object_losses(current, goal, mask[layer], num_matched)
                losses.update({f'{prefix}loss_{name}': value for name, value in further.items()})
            losses['loss_depth_map'] = self._depth_map_loss(outs['depth_logits'], targets, num_images)
        return losses

    def _checked(self, outs: Mapping[str, Tensor], assignment: Mapping[str, Tensor]) -> dict[str, Tensor]:
        (scores,) = require_tensors(outs, dict(cls_scores=(None,) * 4), owner=f'{_NAME}: outs')
        shapes: dict[str, tuple[int | None, ...]] = {
            name: (*scores.shape[:3], channels) for name, channels in _CHANNELS.items()
        }
        shapes.update(depth_logits=(scores.shape[1], None, None, None))
        require_tensors(outs, shapes, owner=f'{_NAME}: outs')
        pairs = (*scores.shape[:2], None, None)
        require_tensors(assignment, dict(queries=pairs, mask=pairs), owner=f'{_NAME}: assignment')
        return {name: as_float32(outs[name]) for name in ('cls_scores', *shapes)}

    def _divisors(self, targets: Mapping[str, Tensor], groups: int) -> tuple[Tensor, Tensor]:
        """Matched queries per layer and labelled images, in one collective."""
        mask = targets['mask_2d']
        images = targets['labelled'].sum() if 'labelled' in targets else mask.new_full((), len(mask), dtype=torch.long)
        num_matched, num_images = global_avg_factors(torch.stack([mask.sum() * groups, images])).unbind()
        return num_matched, num_images

    def _class_terms(
        self, logits: Tensor, labels: Tensor, queries: Tensor, mask: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Sum of the class losses of each layer (L,)."""
        layers, batch, _, classes = logits.shape
        index = queries * classes + labels
        # Slots without a query point to the first one and must not undo what another slot says.
        one_hot = logits.new_zeros(layers, batch, logits[0, 0].numel())
        one_hot = one_hot.scatter_reduce(2, index, mask.to(logits.dtype), 'amax').view_as(logits)
        values = self.losses['cls'](logits.flatten(0, 2), one_hot.flatten(0, 2), reduction_override='none')
        values = values.view_as(logits)
        if 'labelled' in targets:
            values = torch.where(targets['labelled'].view(-1, 1, 1), values, 0.0)
        return values.sum((1, 2, 3))

    def _box_terms(self, pred: Tensor, goal: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Sums of the losses of the 2D boxes of each layer (L,); boxes (L, B, M, 6) and (B, M, 6)."""
        goal = goal.to(pred.dtype).expand_as(pred)

        def l1(name: str, part: slice) -> Tensor:
            values = self.losses[name](pred[..., part], goal[..., part], reduction_override='none')
            return torch.where(mask.unsqueeze(-1), values, 0.0).sum((1, 2, 3))

        corners = [edges_to_corners(boxes).flatten(0, 2) for boxes in (pred, goal)]
        giou = self.losses['giou'](*corners, reduction_override='none').view(mask.shape)
        return dict(
            center=l1('center', slice(0, 2)),
            bbox=l1('bbox', slice(2, 6)),
            giou=torch.where(mask, giou, 0.0).sum((1, 2)),
        )

    def _object_losses(
        self, pred: Mapping[str, Tensor], goal: Mapping[str, Tensor], mask: Tensor, num_matched: Tensor
    ) -> dict[str, Tensor]:
        """Losses of one layer on size, heading and depth."""
        depth, log_scale = pred['depth'].unbind(-1)
        bins = (goal['heading_bin'], goal['heading_res'])
        return dict(
            dims=self.losses['dims'](pred['dims'], goal['size_3d'], mask, avg_factor=num_matched),
            heading=self.losses['heading'](pred['heading'], *bins, mask, avg_factor=num_matched),
            depth=self.losses['depth'](depth, log_scale, goal['depth'], mask, avg_factor=num_matched),
        )

    def _depth_map_loss(self, logits: Tensor, targets: Mapping[str, Tensor], num_images: Tensor) -> Tensor:
        height, width = logits.shape[-2:]
        cells = host_values([width, height, width, height], like=targets['boxes'])
        boxes = edges_to_corners(targets['boxes']) * cells
        depth = box_depth_map(boxes, targets['depth'], targets['mask_2d'], (height, width))
        if 'labelled' in targets:
            depth = torch.where(targets['labelled'].view(-1, 1, 1), depth, torch.nan)
        return self.losses['depth_map'](logits, depth.unsqueeze(1), avg_factor=num_images * (height * width))


def _take(outputs: Tensor, queries: Tensor) -> Tensor:
    """Outputs (L, B, Q, K) at queries (L, B, M), as (L, B, M, K)."""
    return outputs.gather(2, queries.unsqueeze(-1).expand(-1, -1, -1, outputs.shape[-1]))

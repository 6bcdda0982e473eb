"""The seven losses of a DID-M3D head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32, global_avg_factors
from mono_distill.models.task_modules.center_geometry import gather_at
from mono_distill.models.task_modules.mono_center_coder import HEAT_EPS
from mono_distill.models.task_modules.task_weights import TaskWeights

DEFAULT_LOSSES: dict[str, dict[str, Any]] = dict(
    heatmap=dict(type='mmdet.GaussianFocalLoss', alpha=2.0, gamma=4.0),
    offset_2d=dict(type='mmdet.L1Loss'),
    size_2d=dict(type='mmdet.L1Loss'),
    depth=dict(type='mono_distill.LaplacianUncertaintyLoss', param='variance'),
    offset_3d=dict(type='mmdet.L1Loss'),
    size_3d=dict(type='mmdet.L1Loss'),
    heading=dict(type='mono_distill.HeadingBinLoss'),
)


def did_losses(
    outs: Mapping[str, Tensor], targets: Mapping[str, Tensor], losses: nn.ModuleDict, task_weights: TaskWeights
) -> dict[str, Tensor]:
    """Compute the losses, see :meth:`mono_distill.models.DIDHead.loss_by_targets`.

    Args:
        outs: Output of the head at the objects of ``targets``.
        targets: Output of the target encoder, with ``labelled`` (B,) bool if some images are not.
        losses: Modules by the names of :data:`DEFAULT_LOSSES`.
        task_weights: Multiplies the losses.
    """
    outs = {name: as_float32(value) for name, value in outs.items()}
    mask = targets['mask_2d']
    bin_mask = targets['depth_mask'] & mask[..., None, None]
    counts = torch.stack([targets['heatmap'].eq(1).sum(), mask.sum(), bin_mask.sum()])
    num_peaks, num_objects, num_bins = global_avg_factors(counts).unbind()
    heat = outs['heatmap'].sigmoid().clamp(HEAT_EPS, 1 - HEAT_EPS)
    labelled = targets.get('labelled')
    weight = None if labelled is None else labelled.float().view(-1, 1, 1, 1)
    raw = {'heatmap': losses['heatmap'](heat, targets['heatmap'], weight=weight, avg_factor=num_peaks)}
    for name in ('offset_2d', 'size_2d', 'offset_3d', 'size_3d'):
        pred = outs[name] if name.endswith('_3d') else outputs_at(outs, name, targets['indices'])
        raw[name] = losses[name](pred, targets[name], _weight(mask, pred), avg_factor=num_objects * pred.shape[-1])
    raw['depth'] = _depth_loss(losses['depth'], outs, targets, bin_mask, avg_factors=(num_objects, num_bins))
    raw['heading'] = losses['heading'](
        outs['heading'], targets['heading_bin'], targets['heading_res'], mask, avg_factor=num_objects
    )
    weighted = {f'loss_{name}': value for name, value in task_weights(raw).items()}
    if task_weights.recording:
        weighted.update({f'raw_{name}': value.detach() for name, value in raw.items()})
    return weighted


def outputs_at(outs: Mapping[str, Tensor], name: str, indices: Tensor) -> Tensor:
    """Return what a dense branch says at the cells ``indices`` (B, N), as (B, N, C); it may have run only there."""
    at = outs.get(f'{name}_at')
    return gather_at(outs[name], indices) if at is None else at


def _weight(mask: Tensor, pred: Tensor) -> Tensor:
    return mask.unsqueeze(-1).expand_as(pred).to(pred.dtype)


def _depth_loss(
    loss: nn.Module,
    outs: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    bin_mask: Tensor,
    *,
    avg_factors: tuple[Tensor, Tensor],
) -> Tensor:
    """Return visual and attribute depth against the measured bins plus instance depth of all bins against z."""
    num_objects, num_bins = avg_factors
    depth, everywhere = (targets[name][..., None, None].expand_as(outs['ins_depth']) for name in ('depth', 'mask_2d'))
    goals = {
        'vis_depth': (targets['vis_depth'], bin_mask, num_bins),
        'att_depth': (targets['att_depth'], bin_mask, num_bins),
        'ins_depth': (depth, everywhere, num_objects * outs['ins_depth'].shape[-1] ** 2),
    }
    terms = [
        loss(outs[name], outs[f'{name}_uncer'], goal, mask, avg_factor=number)
        for name, (goal, mask, number) in goals.items()
    ]
    return torch.stack(terms).sum()

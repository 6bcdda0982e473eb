"""Objects of frames without annotations, as a teacher sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

_BINS = 12
# What the response loss reads of the targets.
_READ = ('bboxes', 'indices', 'mask_2d', 'heading_bin')


def pseudo_objects(
    targets: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    labelled: Tensor,
    *,
    score_thr: float = 0.3,
    topk: int = 30,
    stride: int = 4,
) -> dict[str, Tensor]:
    """Return where the response loss compares: annotated objects, or a teacher's detections in unlabelled images.

    An unlabelled image is read at the highest local maxima (3 x 3) of the teacher's heatmap; 2D box and heading bin
    are the teacher's there. Labelled images keep their annotations.

    Args:
        targets: Output of the student's target encoder.
        teacher: Output of the teacher's head: ``heatmap`` (B, C, H, W) logits, ``offset_2d``, ``size_2d``, ``heading``.
        labelled: (B,) bool.
        score_thr: Least probability of a detection.
        topk: Most detections of an image.
        stride: Input pixels per pixel of the maps.

    Returns:
        ``bboxes`` (B, N, 4) in input pixels, ``indices``, ``mask_2d`` and ``heading_bin`` (B, N).
    """
    heat = teacher['heatmap'].float().sigmoid()
    width = heat.shape[-1]
    peak = nn.functional.max_pool2d(heat, 3, stride=1, padding=1) == heat
    best = torch.where(peak, heat, 0.0).amax(dim=1).flatten(1)
    scores, indices = best.topk(min(topk, best.shape[1]), dim=1)
    read = {name: _gather(teacher[name].float(), indices) for name in ('offset_2d', 'size_2d', 'heading')}
    cells = torch.stack([indices % width, indices // width], dim=-1)
    centre, half = cells + read['offset_2d'], read['size_2d'].clamp(min=0) / 2
    found = (scores >= score_thr) & ~labelled.unsqueeze(1)
    pseudo = {
        'bboxes': torch.cat([centre - half, centre + half], dim=-1) * stride,
        'indices': indices,
        'mask_2d': found,
        'heading_bin': read['heading'][..., :_BINS].argmax(dim=-1),
    }
    # The slots of both are kept side by side; those of the other kind are invalid.
    kept = targets['mask_2d'] & labelled.unsqueeze(1)
    own = {**{name: targets[name] for name in _READ}, 'mask_2d': kept}
    return {name: torch.cat([own[name], pseudo[name].to(own[name].dtype)], dim=1) for name in _READ}


def _gather(maps: Tensor, indices: Tensor) -> Tensor:
    """Read (B, C, H, W) at flat positions (B, N) as (B, N, C)."""
    places = indices.unsqueeze(1).expand(-1, maps.shape[1], -1)
    return maps.flatten(2).gather(2, places).transpose(1, 2)


@MODELS.register_module()
class PseudoObjects(nn.Module):
    """Module form of :func:`pseudo_objects`, for the ``targets`` of a distiller.

    Args:
        score_thr: Least probability of a detection.
        topk: Most detections of an image.
        stride: Input pixels per pixel of the maps.

    Raises:
        ConfigError: ``score_thr`` is no probability.
    """

    def __init__(self, score_thr: float = 0.3, *, topk: int = 30, stride: int = 4) -> None:
        super().__init__()
        if not 0 < score_thr < 1:
            raise ConfigError(f'PseudoObjects: score_thr must lie between 0 and 1, got {score_thr}')
        self.score_thr, self.topk, self.stride = score_thr, topk, stride

    def forward(
        self, targets: Mapping[str, Tensor], teacher: Mapping[str, Tensor], data_samples: Sequence[Any]
    ) -> dict[str, Tensor]:
        """See :func:`pseudo_objects`; ``data_samples`` say in their metainfo whether they are ``labelled``."""
        known = [bool(sample.metainfo.get('labelled', True)) for sample in data_samples]
        labelled = torch.tensor(known, device=targets['mask_2d'].device)
        return pseudo_objects(targets, teacher, labelled, score_thr=self.score_thr, topk=self.topk, stride=self.stride)

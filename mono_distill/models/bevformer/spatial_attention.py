"""Attention of a bird's-eye view to the images of all cameras."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32
from mono_distill.models.bevformer.geometry import PillarViews
from mono_distill.models.bevformer.sampling import cell_scale, init_offsets, init_projections, sample_maps
from mono_distill.models.monodetr.deformable_attention import Levels
from mono_distill.utils.errors import ConfigError


class CameraPlan(NamedTuple):
    """Which pillars each camera works on; made once per frame and used by all layers.

    Attributes:
        pillars: (B, N, M) int64 indices of pillars, those that the camera sees first.
        seen: (B, N, M) bool, whether it sees them; the others fill up.
        locations: (B, N, M, Z, 2) their positions in the image.
        cameras: (B, Q, 1) number of cameras that see each pillar, at least 1.
    """

    pillars: Tensor
    seen: Tensor
    locations: Tensor
    cameras: Tensor


def plan_cameras(views: PillarViews, max_share: float | None = None) -> CameraPlan:
    """Gather the pillars that each camera sees, at least one of whose points lies in its image.

    A camera sees a fifth of the grid or a third, so that most of the work of asking all cameras about all pillars is
    spared. All cameras have the same number M of slots. On the CPU that is the largest number that any camera of the
    batch sees. On a GPU the host would have to wait for that number (the released code does, camera by camera); there
    it is ``max_share`` of the pillars.

    Args:
        views: Pillars in the cameras.
        max_share: On a GPU, the share of the grid that one camera may see; what it sees beyond is lost. ``None``: all.

    Returns:
        See :class:`CameraPlan`.
    """
    hit = views.visible.any(-1)
    order = hit.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)[..., : num_slots(hit, max_share)]
    index = order[..., None, None].expand(-1, -1, -1, *views.locations.shape[3:])
    return CameraPlan(
        order,
        hit.gather(2, order),
        views.locations.gather(2, index),
        hit.sum(1).clamp(min=1).unsqueeze(-1),
    )


def num_slots(hit: Tensor, max_share: float | None) -> int:
    """Return M of :func:`plan_cameras` for (B, N, Q) bool, which pillars the cameras see."""
    if hit.device.type == 'cpu':
        return max(int(hit.sum(-1).max()), 1)
    return int(hit.shape[2]) if max_share is None else math.ceil(max_share * hit.shape[2])


class SpatialCrossAttention(nn.Module):
    r"""Deformable attention of every pillar to the cameras that see it.

    .. math:: o_p = W \, \frac{1}{|V_p|} \sum_{n \in V_p} \sum_{l} \sum_{k} a_{plk} \,
        F_{nl}\big(P_n(p, z_{k}) + \Delta_{plk}\big)

    with :math:`V_p` the cameras in whose image at least one of the pillar's Z points lies and :math:`P_n(p, z)` the
    position of the point at height z (BEVFormer, ECCV 2022, section 3.3). The samples are dealt out to the heights in
    turn. All cameras and images run in one call.

    Args:
        embed_dims: Channels C.
        num_heads: Heads.
        num_levels: Maps of an image.
        num_heights: Points Z of a pillar.
        num_points: Samples per head and map, a multiple of ``num_heights``.
        dropout: Rate of the dropout behind it.

    Raises:
        ConfigError: ``num_points`` is no multiple of ``num_heights``.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        *,
        num_levels: int = 1,
        num_heights: int = 4,
        num_points: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if num_points < 1 or num_points % num_heights:
            raise ConfigError(
                f'SpatialCrossAttention: num_points must be a multiple of num_heights={num_heights}, got {num_points}.'
            )
        self.num_heads = num_heads
        self.num_levels = num_levels
        self.num_heights = num_heights
        self.num_points = num_points
        samples = num_heads * num_levels * num_points
        self.value_proj = nn.Linear(embed_dims, embed_dims)
        self.sampling_offsets = nn.Linear(embed_dims, 2 * samples)
        self.attention_weights = nn.Linear(embed_dims, samples)
        self.output_proj = nn.Linear(embed_dims, embed_dims)
        self.dropout = nn.Dropout(dropout)
        self.init_weights()

    def init_weights(self) -> None:
        """Initialise as Deformable DETR does."""
        init_offsets(self.sampling_offsets, self.num_heads, self.num_levels, self.num_points)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        init_projections(self.value_proj, self.output_proj)

    def forward(self, query: Tensor, memory: Levels, plan: CameraPlan) -> Tensor:
        """Attend.

        Args:
            query: (B, Q, C).
            memory: Maps of all cameras of all images, (B * N, cells, C) tokens.
            plan: See :func:`plan_cameras`.

        Returns:
            (B, Q, C) with the query added; a pillar that no camera sees gets the bias of the output only.
        """
        with torch.autocast(query.device.type, enabled=False):
            query = as_float32(query)
            channels = query.shape[2]
            index = plan.pillars.flatten(1).unsqueeze(-1).expand(-1, -1, channels)
            asked = query.gather(1, index).unflatten(1, plan.pillars.shape[1:]).flatten(0, 1)
            sampled = self._sample(asked, memory, plan.locations.flatten(0, 1))
            kept = torch.where(plan.seen.flatten(0, 1).unsqueeze(-1), sampled, 0.0)
            # (B, N * M, C): what all cameras say about a pillar adds up.
            total = torch.zeros_like(query).scatter_add(1, index, kept.view(len(query), -1, channels))
            out: Tensor = query + self.dropout(self.output_proj(total / plan.cameras))
        return out

    def _sample(self, query: Tensor, memory: Levels, locations: Tensor) -> Tensor:
        """Samples (B * N, M, C) of the cameras for queries (B * N, M, C) at locations (B * N, M, Z, 2)."""
        heads, levels, heights = self.num_heads, self.num_levels, self.num_heights
        value = self.value_proj(as_float32(memory.tokens)).unflatten(-1, (heads, -1))
        offsets = self.sampling_offsets(query).unflatten(-1, (heads, levels, self.num_points, 2))
        weights = self.attention_weights(query).unflatten(-1, (heads, levels * self.num_points)).softmax(-1)
        offsets = (offsets * cell_scale(memory.shapes, like=query)).unflatten(-2, (-1, heights))
        places = (locations[:, :, None, None, None] + offsets).flatten(-3, -2)
        return sample_maps(value, memory.shapes, places, weights.unflatten(-1, (levels, self.num_points)))

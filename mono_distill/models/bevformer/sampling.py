"""Sampling of maps and the first offsets of it, shared by the attentions of BEVFormer."""

from __future__ import annotations

import functools
import math

import torch
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch import Tensor, nn

from mono_distill.compat.mmcv_lite import has_compiled_ops
from mono_distill.models.monodetr.deformable_attention import Shapes
from mono_distill.ops.deformable_attention import deformable_attention

# What mmcv's op works on at a time, at most.
_STEP = 64


def sample_maps(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """:func:`mono_distill.ops.deformable_attention.deformable_attention`, by mmcv's op on a GPU where it is compiled.

    Args:
        value: (B, cells, heads, C).
        shapes: (H, W) of each map.
        locations: (B, Q, heads, maps, points, 2).
        weights: (B, Q, heads, maps, points).

    Returns:
        (B, Q, heads * C).
    """
    if not (value.is_cuda and _has_cuda_op()):
        return deformable_attention(value, shapes, locations, weights)
    sizes = torch.tensor(shapes).pin_memory().to(value.device, non_blocking=True)
    starts = torch.cat([sizes.new_zeros(1), sizes.prod(1).cumsum(0)[:-1]])
    # The op wants steps of equal size, and a batch of cameras is seldom a multiple of 64.
    step = math.gcd(value.shape[0], _STEP)
    out: Tensor = MultiScaleDeformableAttnFunction.apply(
        value.contiguous(), sizes, starts, locations.contiguous(), weights.contiguous(), step
    )
    return out


@functools.cache
def _has_cuda_op() -> bool:
    return has_compiled_ops()


def cell_scale(shapes: Shapes, *, like: Tensor) -> Tensor:
    """Return the size of a cell of each map as a share of the map, (maps, 1, 2) x, y.

    Example:
        >>> cell_scale(((2, 4),), like=torch.zeros(1))
        tensor([[[0.2500, 0.5000]]])
    """
    sides = [like.new_full((), 1 / side) for height, width in shapes for side in (width, height)]
    return torch.stack(sides).view(len(shapes), 1, 2)


def init_offsets(layer: nn.Linear, heads: int, maps: int, points: int) -> None:
    """Let the first samples of each head lie on a ray: its i-th point i cells away, the heads all around.

    The initialisation of Deformable DETR, on the maps of a layer whose output is (heads, maps, points, 2).
    """
    angles = torch.arange(heads, dtype=torch.float32) * (2 * math.pi / heads)
    rays = torch.stack([angles.cos(), angles.sin()], dim=-1)
    rays = (rays / rays.abs().max(-1, keepdim=True).values).view(heads, 1, 1, 2)
    steps = torch.arange(1, points + 1, dtype=torch.float32).view(1, 1, points, 1)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_((rays * steps).expand(heads, maps, points, 2).flatten())


def init_projections(*layers: nn.Linear) -> None:
    """Xavier weights and no bias."""
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)

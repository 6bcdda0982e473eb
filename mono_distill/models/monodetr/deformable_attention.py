"""Multi-scale deformable attention in single precision, without waiting for the device."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmcv.ops import MultiScaleDeformableAttention
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch import Tensor

from mono_distill.compat.mmcv_lite import has_compiled_ops
from mono_distill.losses.masked import as_float32
from mono_distill.ops.deformable_attention import deformable_attention

Shapes = tuple[tuple[int, int], ...]


class Levels(NamedTuple):
    """Maps of several resolutions as one sequence of tokens.

    Attributes:
        tokens: (B, N, C), the maps' cells row by row, one map after the other.
        shapes: (H, W) of each map.
    """

    tokens: Tensor
    shapes: Shapes

    def maps(self) -> tuple[Tensor, ...]:
        """Return the maps (B, C, H, W), which share the tokens' memory."""
        parts = self.tokens.split([height * width for height, width in self.shapes], dim=1)
        return tuple(part.transpose(1, 2).unflatten(2, shape) for part, shape in zip(parts, self.shapes, strict=True))


def flatten_maps(maps: Sequence[Tensor]) -> Levels:
    """Turn maps (B, C, H_i, W_i) into one sequence of tokens.

    Example:
        >>> flatten_maps([torch.zeros(2, 8, 3, 4), torch.zeros(2, 8, 2, 2)]).tokens.shape
        torch.Size([2, 16, 8])
    """
    tokens = torch.cat([value.flatten(2).transpose(1, 2) for value in maps], dim=1)
    return Levels(tokens, tuple((int(value.shape[2]), int(value.shape[3])) for value in maps))


class DeformableAttention(MultiScaleDeformableAttention):
    """mmcv's attention (same parameters, same numbers) that is called with the maps' shapes as Python integers.

    mmcv takes the shapes as a tensor and compares it with the number of tokens, which makes the host wait for a GPU at
    every call. Sampling positions are pixels, so that everything but the values is computed in float32 under autocast.

    Args:
        See :class:`mmcv.ops.MultiScaleDeformableAttention`.
    """

    def forward(self, query: Tensor, *, query_pos: Tensor | None, references: Tensor, memory: Levels) -> Tensor:
        """Attend to a few sampled cells of every level.

        Args:
            query: (B, Q, C).
            query_pos: (B, Q, C), added to the query, or None.
            references: (B, Q, 2) points x, y in [0, 1], or (B, Q, 4) boxes of centre and size.
            memory: What is attended to.

        Returns:
            (B, Q, C) with the query added.
        """
        with torch.autocast(query.device.type, enabled=False):
            identity = as_float32(query)
            query = identity if query_pos is None else identity + as_float32(query_pos)
            sampled = self._sample(query, as_float32(references), memory)
            output: Tensor = self.dropout(self.output_proj(sampled)) + identity
        return output

    def _sample(self, query: Tensor, references: Tensor, memory: Levels) -> Tensor:
        heads, levels, points = self.num_heads, self.num_levels, self.num_points
        value = self.value_proj(as_float32(memory.tokens)).unflatten(-1, (heads, -1))
        offsets = self.sampling_offsets(query).unflatten(-1, (heads, levels, points, 2))
        weights = self.attention_weights(query).unflatten(-1, (heads, levels * points)).softmax(-1)
        weights = weights.unflatten(-1, (levels, points))
        centers = references[:, :, None, None, None, :2]
        if references.shape[-1] == 2:
            scale = query.new_tensor([[1 / width, 1 / height] for height, width in memory.shapes])
            locations = centers + offsets * scale[:, None]
        else:
            locations = centers + offsets * (references[:, :, None, None, None, 2:] * (0.5 / points))
        if value.is_cuda and _has_cuda_op():
            return _compiled(value, memory.shapes, locations, weights, self.im2col_step)
        return deformable_attention(value, memory.shapes, locations, weights)


@functools.cache
def _has_cuda_op() -> bool:
    return has_compiled_ops()


def _compiled(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor, step: int) -> Tensor:
    """Run mmcv's CUDA op."""
    sizes = torch.tensor(shapes).pin_memory().to(value.device, non_blocking=True)
    starts = torch.cat([sizes.new_zeros(1), sizes.prod(1).cumsum(0)[:-1]])
    out: Tensor = MultiScaleDeformableAttnFunction.apply(value, sizes, starts, locations.contiguous(), weights, step)
    return out

"""The sampling of multi-scale deformable attention (Zhu et al., *Deformable DETR*, ICLR 2021)."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from mono_distill.ops._compiled import as_arrays, on_host
from mono_distill.utils.errors import ShapeError


def deformable_attention(
    value: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    r"""Sum bilinear samples of several maps.

    .. math:: o_{qh} = \sum_l \sum_k a_{qhlk} \, v_{lh}(p_{qhlk})

    Outside of a map there are zeros; a position is a share of the map's width and height, with 0 at the left edge of
    the first cell. On the CPU this is a kernel compiled by numba, where numba can be imported: about ten times the
    speed of sampling map by map, on as many threads as torch may use and there are heads.

    Args:
        value: (B, N, heads, C), the cells of all maps row by row, one map after the other.
        shapes: (H, W) of each map; their products sum to N.
        locations: (B, Q, heads, maps, points, 2) positions x, y.
        weights: (B, Q, heads, maps, points).

    Returns:
        (B, Q, heads * C).

    Raises:
        ShapeError: The shapes do not fit.

    Example:
        >>> value = torch.arange(4.0).view(1, 4, 1, 1)
        >>> middle = torch.full((1, 1, 1, 1, 1, 2), 0.5)
        >>> deformable_attention(value, [(2, 2)], middle, torch.ones(1, 1, 1, 1, 1))
        tensor([[[1.5000]]])
    """
    _check(value, shapes, locations, weights)
    if _can_compile(value, locations, weights):
        output: Tensor = _CompiledAttention.apply(value, locations, weights, tuple(shapes))
        return output.flatten(2)
    return _attend_by_grids(value, shapes, locations, weights)


def _attend_by_grids(value: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    batch, _, heads, channels = value.shape
    queries = locations.shape[1]
    samples = []
    for level, part in enumerate(value.split([height * width for height, width in shapes], dim=1)):
        image = part.permute(0, 2, 3, 1).reshape(batch * heads, channels, *shapes[level])
        grid = (2 * locations[:, :, :, level] - 1).transpose(1, 2).flatten(0, 1)
        samples.append(functional.grid_sample(image, grid, align_corners=False))
    sampled = torch.cat(samples, dim=-1)
    scale = weights.transpose(1, 2).reshape(batch * heads, 1, queries, -1)
    return (sampled * scale).sum(-1).view(batch, heads * channels, queries).transpose(1, 2)


@functools.cache
def _kernels() -> Any:
    """Return the module of compiled kernels, or ``None`` where numba cannot be imported."""
    try:
        return importlib.import_module('mono_distill.ops._deformable_kernel')
    except (ImportError, OSError):
        return None


def _can_compile(*tensors: Tensor) -> bool:
    dtypes = {tensor.dtype for tensor in tensors}
    if len(dtypes) > 1 or not dtypes <= {torch.float32, torch.float64}:
        return False
    return on_host(*tensors) and _kernels() is not None


def _run_on_heads(kernel: Callable[..., None], arrays: Sequence[Any], heads: int, *results: Any) -> None:
    """Let a kernel work on all heads, with as many threads as torch may use."""
    workers = min(torch.get_num_threads(), heads)
    ends = [heads * worker // workers for worker in range(workers + 1)]
    parts = list(pairwise(ends))
    if workers == 1:
        kernel(*arrays, parts[0], *results)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda part: kernel(*arrays, part, *results), parts))


class _CompiledAttention(torch.autograd.Function):
    """:func:`deformable_attention` by compiled kernels, (B, Q, heads, C)."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, locations: Tensor, weights: Tensor, shapes: tuple[tuple[int, int], ...]
    ) -> Tensor:
        output = value.new_empty(*locations.shape[:3], value.shape[3])
        ctx.save_for_backward(value, locations, weights)
        ctx.shapes = np.array(shapes, dtype=np.int64)
        values, places, shares, outputs = as_arrays(value, locations, weights, output)
        _run_on_heads(_kernels().sample_heads, (values, ctx.shapes, places, shares, outputs), value.shape[2])
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        value, locations, weights = ctx.saved_tensors
        slopes = [torch.zeros_like(tensor, memory_format=torch.contiguous_format) for tensor in ctx.saved_tensors]
        values, places, shares, incoming = as_arrays(value, locations, weights, gradient)
        arrays = (values, ctx.shapes, places, shares, incoming)
        _run_on_heads(_kernels().slope_heads, arrays, value.shape[2], *as_arrays(*slopes))
        return slopes[0], slopes[1], slopes[2], None


def _check(value: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor) -> None:
    cells = sum(height * width for height, width in shapes)
    batch, queries, heads = (value.shape[0], *locations.shape[1:3])
    expected = (batch, queries, heads, len(shapes), locations.shape[-2])
    fits = value.dim() == 4 and tuple(value.shape[:3]) == (batch, cells, heads)
    if not fits or tuple(weights.shape) != expected or tuple(locations.shape) != (*expected, 2):
        raise ShapeError(
            f'deformable_attention: value {tuple(value.shape)}, maps {tuple(shapes)}, locations '
            f'{tuple(locations.shape)} and weights {tuple(weights.shape)} do not fit; expected (B, {cells}, heads, C), '
            '(B, Q, heads, maps, points, 2) and (B, Q, heads, maps, points).'
        )

"""Pools of soft ranks on a GPU: neighbouring segments of sorted rows are joined, level by level, by one Triton kernel.

Each row starts as segments of one entry. A level joins pairs of segments whose own pools are known: only pools at the
seam can violate the order, so from the seam outwards pools are merged until none does (pool adjacent violators). All
seams of a level are independent, and nothing is read back to the host. Levels: log2 of the row's length.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_SEAMS_PER_PROGRAM = 64


@triton.jit
def _rises(left_sum, left_begin, left_size, right_sum, right_begin, right_size, n):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Whether the pool on the right has the larger mean of entries minus ranks; place i has the rank n - i."""
    left = left_sum / left_size - (n - left_begin - (left_size - 1) * 0.5)
    right = right_sum / right_size - (n - right_begin - (right_size - 1) * 0.5)
    return right > left


@triton.jit
def _join_segments(  # type: ignore[no-untyped-def]
    sums,  # noqa: ANN001
    size_at_first,  # noqa: ANN001
    size_at_last,  # noqa: ANN001
    starts,  # noqa: ANN001
    n,  # noqa: ANN001
    width,  # noqa: ANN001
    seams_per_row,  # noqa: ANN001
    seams,  # noqa: ANN001
    block: tl.constexpr,
) -> None:
    """Join segments of ``width`` places; a pool keeps its sum and size at its first place, its size at its last."""
    seam = tl.program_id(0) * block + tl.arange(0, block)
    row = (seam // seams_per_row).to(tl.int64) * n
    low = (seam % seams_per_row) * 2 * width
    middle = low + width
    high = tl.minimum(middle + width, n)
    inside = (seam < seams) & (middle < n)

    left_size = tl.load(size_at_last + row + middle - 1, mask=inside, other=1)
    begin = middle - left_size
    left_sum = tl.load(sums + row + begin, mask=inside, other=0.0)
    right_size = tl.load(size_at_first + row + middle, mask=inside, other=1)
    right_sum = tl.load(sums + row + middle, mask=inside, other=0.0)
    joined = inside & _rises(left_sum, begin, left_size, right_sum, middle, right_size, n)
    tl.store(starts + row + middle, 0, mask=joined)
    end = middle + right_size
    total = left_sum + right_sum

    active = joined
    while tl.max(active.to(tl.int32), axis=0) > 0:
        has_left = active & (begin > low)
        size = tl.load(size_at_last + row + begin - 1, mask=has_left, other=1)
        value = tl.load(sums + row + begin - size, mask=has_left, other=0.0)
        grows = has_left & _rises(value, begin - size, size, total, begin, end - begin, n)
        tl.store(starts + row + begin, 0, mask=grows)
        begin = tl.where(grows, begin - size, begin)
        total = tl.where(grows, total + value, total)

        has_right = active & (end < high)
        size = tl.load(size_at_first + row + end, mask=has_right, other=1)
        value = tl.load(sums + row + end, mask=has_right, other=0.0)
        also = has_right & _rises(total, begin, end - begin, value, end, size, n)
        tl.store(starts + row + end, 0, mask=also)
        end = tl.where(also, end + size, end)
        total = tl.where(also, total + value, total)
        active = grows | also

    tl.store(sums + row + begin, total, mask=joined)
    tl.store(size_at_first + row + begin, end - begin, mask=joined)
    tl.store(size_at_last + row + end - 1, end - begin, mask=joined)


@torch.no_grad()
def find_pools(ordered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the pools of the soft rank of rows that are sorted.

    Args:
        ordered: ``(R, n)`` float64, every row descending, in units of ranks.

    Returns:
        For each place: first place of its pool ``(R, n)`` int64, size of its pool ``(R, n)`` int64 and mean of the
        entries of its pool ``(R, n)`` float64.
    """
    rows, n = ordered.shape
    sums = ordered.clone(memory_format=torch.contiguous_format)
    size_at_first = torch.ones((rows, n), dtype=torch.int32, device=ordered.device)
    size_at_last = torch.ones_like(size_at_first)
    starts = torch.ones((rows, n), dtype=torch.int8, device=ordered.device)
    kernel: Any = _join_segments
    width = 1
    while width < n:
        per_row = triton.cdiv(n, 2 * width)
        grid = (triton.cdiv(rows * per_row, _SEAMS_PER_PROGRAM),)
        kernel[grid](
            sums, size_at_first, size_at_last, starts, n, width, per_row, rows * per_row, block=_SEAMS_PER_PROGRAM
        )
        width *= 2
    place = torch.arange(n, device=ordered.device).expand(rows, n)
    first = torch.where(starts.bool(), place, 0).cummax(1).values
    size = size_at_first.gather(1, first).long()
    return first, size, sums.gather(1, first) / size

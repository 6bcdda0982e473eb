"""The compiled parts of soft and average ranks for the CPU, a module of its own because it imports numba.

They run on one thread and without Python's lock. All that call each other are in one file, because numba's cache does
not notice changes in a file that a function calls into.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mono_distill.ops._njit_cached import njit_cached

# Division by zero gives infinity or NaN, as in torch.
compiled = njit_cached(nogil=True, error_model='numpy')
# Sums and minima whose order may change, so that they use vector instructions.
compiled_reduction = njit_cached(nogil=True, error_model='numpy', fastmath={'reassoc', 'nsz'})

# A key of 32 bits has three digits, the highest of 10 bits.
DIGIT_BITS = np.uint32(11)
DIGIT = np.uint32(2**11 - 1)
KEY_SHIFT = np.uint64(32)


class Buffers(NamedTuple):
    """Memory for the work on one row of n numbers; little of it, because fresh memory costs time.

    Attributes:
        entries: (n,) uint64, a key and a place each; after sorting free for other numbers.
        spare: (n,) uint64, the same while sorting; then the sorted numbers.
        places: (n,) uint32, first the keys; then the places of the sorted numbers.
        starts: (n + 1,) int32, where blocks of the sorted row start.
        begins: (n,) uint8, marks of the same.
        counts: (3, 2^DIGIT_BITS) int32, where buckets of the radix sort begin.
    """

    entries: np.ndarray
    spare: np.ndarray
    places: np.ndarray
    starts: np.ndarray
    begins: np.ndarray
    counts: np.ndarray


@compiled
def new_buffers(n: int) -> Buffers:
    """Allocate the memory for rows of ``n`` numbers."""
    return Buffers(
        np.empty(n, np.uint64),
        np.empty(n, np.uint64),
        np.empty(n, np.uint32),
        np.empty(n + 1, np.int32),
        np.empty(n, np.uint8),
        np.empty((3, 2**DIGIT_BITS), np.int32),
    )


@compiled
def find_keys(row: np.ndarray, keys: np.ndarray, counts: np.ndarray) -> None:
    """Fill ``keys`` with integers in the order of the numbers, and ``counts`` with where each digit's buckets begin.

    The key is the number as float32, its bits changed so that unsigned integers have the order of the numbers: both
    zeros are one key and NaN is the last. Numbers of more digits are shifted first, by any one of them, so that a
    common offset does not use up the digits.
    """
    n = row.shape[0]
    origin = row[n // 2] if row.itemsize == 8 and np.isfinite(row[n // 2]) else row.dtype.type(0)
    numbers = keys.view(np.float32)
    for i in range(n):
        numbers[i] = row[i] - origin
    counts[:] = 0
    for i in range(n):
        u = keys[i]
        u = np.uint32(0) if u == np.uint32(0x80000000) else u
        u = np.uint32(0x7FFFFFFF) if (u & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000) else u
        u ^= np.uint32(0xFFFFFFFF) if u >> np.uint32(31) else np.uint32(0x80000000)
        keys[i] = u
        counts[0, u & DIGIT] += 1
        counts[1, (u >> DIGIT_BITS) & DIGIT] += 1
        counts[2, u >> DIGIT_BITS >> DIGIT_BITS] += 1
    for digit in range(3):
        begin = 0
        for value in range(counts.shape[1]):
            count = counts[digit, value]
            counts[digit, value] = begin
            begin += count


@compiled
def sort_keys(buffers: Buffers) -> None:
    """Sort the keys in ``places`` digit by digit (LSD radix sort), and put there the places they come from."""
    entries, spare, places, counts = buffers.entries, buffers.spare, buffers.places, buffers.counts
    for i in range(places.shape[0]):
        key = places[i]
        digit = key & DIGIT
        entries[counts[0, digit]] = (np.uint64(key) << KEY_SHIFT) | np.uint64(i)
        counts[0, digit] += 1
    for i in range(places.shape[0]):
        entry = entries[i]
        digit = np.uint32(entry >> KEY_SHIFT) >> DIGIT_BITS & DIGIT
        spare[counts[1, digit]] = entry
        counts[1, digit] += 1
    for i in range(places.shape[0]):
        entry = spare[i]
        digit = np.uint32(entry >> KEY_SHIFT) >> DIGIT_BITS >> DIGIT_BITS
        places[counts[2, digit]] = np.uint32(entry)
        counts[2, digit] += 1


@compiled
def order_equal_keys(ordered: np.ndarray, places: np.ndarray) -> None:
    """Finish the order of float64 numbers, some of which may share a key.

    That is rare, so insertion is fast; rows where it is not are sorted as a whole.
    """
    left = 8 * ordered.shape[0]
    for k in range(1, ordered.shape[0]):
        if not ordered[k] < ordered[k - 1]:
            continue
        value, place = ordered[k], places[k]
        j = k
        while j > 0 and value < ordered[j - 1]:
            ordered[j] = ordered[j - 1]
            places[j] = places[j - 1]
            j -= 1
        ordered[j] = value
        places[j] = place
        left -= k - j
        if left < 0:
            order = np.argsort(ordered, kind='mergesort')
            ordered[:] = ordered[order]
            places[:] = places[order]
            return


@compiled
def sort_row(row: np.ndarray, buffers: Buffers, centred: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Sort a row upwards, NaN last.

    Returns:
        The numbers in order (n,) float64, their places (n,) uint32, and what the numbers were reduced by: about their
        median if ``centred``, else 0. The arrays lie in the memory of ``spare`` and ``places``.
    """
    find_keys(row, buffers.places, buffers.counts)
    sort_keys(buffers)
    ordered, places = buffers.spare.view(np.float64), buffers.places
    centre = float(row[places[row.shape[0] // 2]]) if centred else 0.0
    unordered = False
    last = -np.inf
    for k in range(row.shape[0]):
        value = row[places[k]] - centre
        ordered[k] = value
        unordered |= value < last
        last = value
    if unordered:
        order_equal_keys(ordered, places)
    return ordered, places, centre


@compiled
def average_rank_rows(values: np.ndarray, ranks: np.ndarray) -> None:
    """Write the ranks of every row (R, n) from 1 upwards, ties averaged; NaN has the rank NaN."""
    rows, n = values.shape
    buffers = new_buffers(n)
    for r in range(rows):
        ordered, places, _ = sort_row(values[r], buffers, False)
        k = 0
        while k < n:
            value = ordered[k]
            stop = k + 1
            while stop < n and ordered[stop] == value:
                stop += 1
            rank = np.nan if np.isnan(value) else 0.5 * (k + stop + 1)
            for j in range(k, stop):
                ranks[r, places[j]] = rank
            k = stop


@compiled
def merge_falling_entries(ordered: np.ndarray, eps: float, sums: np.ndarray, starts: np.ndarray) -> int:
    """Merge every falling run of :math:`y_k = x_k - eps * k` into one block; return the number of blocks.

    The entries of a block share a pool. Which entry starts one cannot be foreseen, so that there is no branch here.
    """
    block = -1
    total = 0.0
    start = 0
    last = -np.inf
    for k in range(ordered.shape[0]):
        value = ordered[k]
        # Said so that ties do not rise, however small eps is.
        rises = value - last >= eps
        block += int(rises)
        total = (0.0 if rises else total) + (value - eps * (k + 1))
        start = k if rises else start
        sums[block] = total
        starts[block] = start
        last = value
    starts[block + 1] = ordered.shape[0]
    return block + 1


@compiled
def merge_falling_blocks(sums: np.ndarray, starts: np.ndarray, blocks: int) -> int:
    """Merge every run of blocks with falling means; return the number of blocks."""
    block = -1
    total, last_sum, last_size = 0.0, -np.inf, 1.0
    start = 0
    for i in range(blocks):
        this_sum, this_size = sums[i], float(starts[i + 1] - starts[i])
        rises = last_sum * this_size <= this_sum * last_size
        block += int(rises)
        total = (0.0 if rises else total) + this_sum
        start = starts[i] if rises else start
        sums[block] = total
        starts[block] = start
        last_sum, last_size = this_sum, this_size
    starts[block + 1] = starts[blocks]
    return block + 1


@compiled
def pool_adjacent_violators(sums: np.ndarray, starts: np.ndarray, blocks: int) -> int:
    """Merge blocks until none has a mean below that of the block before it; return the number of pools."""
    pools = 0
    for i in range(blocks):
        total, start, stop = sums[i], starts[i], starts[i + 1]
        while pools > 0 and sums[pools - 1] * (stop - start) > total * (start - starts[pools - 1]):
            pools -= 1
            total += sums[pools]
            start = starts[pools]
        sums[pools] = total
        starts[pools] = start
        pools += 1
    starts[pools] = starts[blocks]
    return pools


@compiled
def find_pools(ordered: np.ndarray, eps: float, sums: np.ndarray, starts: np.ndarray) -> int:
    """Find the pools of a row sorted upwards; return their number.

    The fit of :math:`y_k = x_k - eps * k` must not fall here, where the row is sorted upwards. ``sums`` (n,) receives
    the sum of ``y`` over each pool, ``starts`` (n + 1,) where it starts, and at last where the row ends.
    """
    blocks = merge_falling_entries(ordered, eps, sums, starts)
    # After two rounds little is left to merge, so that a processor guesses the branches of the walk well.
    blocks = merge_falling_blocks(sums, starts, blocks)
    blocks = merge_falling_blocks(sums, starts, blocks)
    return pool_adjacent_violators(sums, starts, blocks)


@compiled
def pool_means(ordered: np.ndarray, eps: float, sums: np.ndarray, starts: np.ndarray) -> None:
    """Turn the ``sums`` (P,) of :func:`find_pools` into the mean of each pool, and ``ordered`` into its mean hard rank.

    So ``ordered`` (n,) is used up, which saves fresh memory.
    """
    for p in range(sums.shape[0]):
        start, stop = starts[p], starts[p + 1]
        low, high = ordered[start], ordered[stop - 1]
        rank = 0.5 * (start + stop + 1)
        mean = sums[p] / (stop - start) + eps * rank
        # A single entry and ties have their number as the mean, exactly.
        sums[p] = low if low == high else mean
        ordered[p] = rank


@compiled
def number_pools(starts: np.ndarray, places: np.ndarray, begins: np.ndarray, base: int, pool: np.ndarray) -> None:
    """Write the pool of each entry, counted from ``base``, without a branch for the many short pools."""
    begins[:] = 0
    for p in range(starts.shape[0]):
        begins[starts[p]] = 1
    number = base - 1
    for k in range(places.shape[0]):
        number += begins[k]
        pool[places[k]] = number


@compiled_reduction
def row_sum(row: np.ndarray) -> float:
    """Sum in float64."""
    result = 0.0
    for i in range(row.shape[0]):
        result += row[i]
    return result


@compiled
def rank_linear_row(
    row: np.ndarray, eps: float, buffers: Buffers, ranks: np.ndarray, pool: np.ndarray, base: int
) -> int:
    """Soft ranks of one row (n,) that is one pool; NaN if one of its numbers is not finite.

    Returns and leaves what :func:`rank_general_row` does.
    """
    n = row.shape[0]
    mean = row_sum(row) / n
    mean = mean if np.isfinite(mean) else np.nan
    for i in range(n):
        ranks[i] = (row[i] - mean) / eps + 0.5 * (n + 1)
    pool[:] = base
    buffers.starts[0] = 0
    buffers.starts[1] = n
    return 1


@compiled
def rank_general_row(
    row: np.ndarray, eps: float, buffers: Buffers, ranks: np.ndarray, pool: np.ndarray, base: int
) -> int:
    """Soft ranks of one row (n,) of any number of pools.

    Returns:
        The number of pools. They are counted from ``base``; where they start is left in ``buffers.starts``.
    """
    ordered, places, centre = sort_row(row, buffers, True)
    if not (np.isfinite(ordered[0]) and np.isfinite(ordered[-1])):
        return rank_linear_row(row, eps, buffers, ranks, pool, base)
    means = buffers.entries.view(np.float64)
    pools = find_pools(ordered, eps, means, buffers.starts)
    pool_means(ordered, eps, means[:pools], buffers.starts)
    number_pools(buffers.starts[:pools], places, buffers.begins, base, pool)
    for i in range(row.shape[0]):
        p = pool[i] - base
        ranks[i] = (row[i] - centre - means[p]) / eps + ordered[p]
    return pools


@compiled
def is_narrow(row: np.ndarray, limit: float) -> bool:
    """Whether no two numbers differ by more than ``limit``. NaN is passed over."""
    low, high = row[0], row[0]
    for i in range(row.shape[0]):
        low = row[i] if row[i] < low else low
        high = row[i] if row[i] > high else high
        if float(high) - low > limit:
            return False
    return True


@compiled
def soft_rank_rows(
    values: np.ndarray, eps: np.ndarray, ranks: np.ndarray, pool: np.ndarray, pool_size: np.ndarray
) -> int:
    """Soft ranks of every row of ``values`` (R, n), see :func:`mono_distill.ops.soft_rank`.

    Args:
        values: (R, n) float32 or float64.
        eps: (R,) float64.
        ranks: (R, n), receives the ranks.
        pool: (R, n) int32, receives the pool of each entry, counted over all rows.
        pool_size: (R * n,) int32, receives the entries of each pool.

    Returns:
        The number of pools.
    """
    rows, n = values.shape
    buffers = new_buffers(n)
    count = 0
    for r in range(rows):
        if is_narrow(values[r], eps[r] * (0.5 * n)):
            pools = rank_linear_row(values[r], eps[r], buffers, ranks[r], pool[r], count)
        else:
            pools = rank_general_row(values[r], eps[r], buffers, ranks[r], pool[r], count)
        for p in range(pools):
            pool_size[count + p] = buffers.starts[p + 1] - buffers.starts[p]
        count += pools
    return count

"""Tests of mono_distill.ops._rank_kernel, beyond those of soft and average ranks, which call it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_distill.ops import _rank_kernel as kernel


def sort(row):
    ordered, places, centre = kernel.sort_row(row, kernel.new_buffers(row.size), False)
    assert centre == 0
    return ordered, places


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(width=32), min_size=1, max_size=60), st.sampled_from([np.float32, np.float64]))
def test_any_numbers_are_sorted_with_nan_last(numbers, dtype):
    row = np.array(numbers, dtype)
    ordered, places = sort(row)
    np.testing.assert_array_equal(ordered, np.sort(row))
    np.testing.assert_array_equal(row[places], ordered)
    assert sorted(places) == list(range(row.size))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=60))
def test_float64_numbers_are_sorted_by_all_their_digits(numbers):
    row = np.array(numbers)
    ordered, places = sort(row)
    np.testing.assert_array_equal(ordered, np.sort(row))
    np.testing.assert_array_equal(row[places], ordered)


@pytest.mark.parametrize('n', [2, 2000])
def test_ties_keep_their_order(n):
    places = sort(np.repeat(np.float32([1.0, -1.0]), n))[1]
    np.testing.assert_array_equal(places, [*range(n, 2 * n), *range(n)])


def test_many_numbers_that_float32_cannot_tell_apart_are_sorted_as_a_whole():
    row = 1e3 * (np.arange(4000) % 2) + 1e-9 * np.random.default_rng(0).standard_normal(4000)
    row[-3:] = np.nan
    ordered, places = sort(row)
    np.testing.assert_array_equal(ordered, np.sort(row))
    np.testing.assert_array_equal(row[places], ordered)


def test_pools_of_a_long_row_do_not_fall_and_cover_it():
    ordered = np.sort(np.random.default_rng(0).standard_normal(50000))
    eps = 2 / 50000
    sums, starts = np.empty(50000), np.empty(50001, np.int32)
    pools = kernel.find_pools(ordered, eps, sums, starts)
    sizes = np.diff(starts[: pools + 1])
    y = ordered - eps * np.arange(1, 50001)
    assert sizes.sum() == 50000
    assert (np.diff(sums[:pools] / sizes) >= 0).all()
    # Within a pool the mean of the first entries is nowhere below that of all: the pool cannot be split.
    for start, size, total in zip(starts[:200], sizes[:200], sums[:200], strict=True):
        running = y[start : start + size].cumsum() / np.arange(1, size + 1)
        assert (running >= total / size - 1e-12).all()

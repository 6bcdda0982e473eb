from __future__ import annotations

import numpy as np
import pytest

from mono_distill.apis.synth_bench.statistics import (
    cluster_weights,
    mean_interval,
    paired_interval,
    resampled_precision,
    seed_draws,
    sequence_numbers,
)
from mono_distill.evaluation.kitti_resampling import Matches
from mono_distill.utils.errors import DataError


def rng(number=0):
    return np.random.default_rng(number)


def test_frames_of_a_sequence_are_drawn_together():
    clusters = np.array([0, 0, 1, 1, 1, 2])
    weights = cluster_weights(clusters, 200, rng())
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, 4]).all()
    # Three sequences are drawn from three.
    assert (weights[:, [0, 2, 5]].sum(axis=1) == 3).all()
    assert set(np.unique(weights[1:])) == {0, 1, 2, 3}


def test_seeds_are_drawn_with_replacement_and_first_as_they_are():
    draws = seed_draws(3, 500, rng())
    assert draws[0].tolist() == [0, 1, 2]
    assert any(len(set(row)) < 3 for row in draws[1:].tolist())


def test_the_value_is_the_mean_paired_difference_of_the_split_itself():
    arm, control = np.array([[3.0, 9, 9], [5.0, 9, 9]]), np.array([[1.0, 0, 0], [2.0, 0, 0]])
    assert paired_interval(arm, control, rng()).value == 2.5


def test_equal_differences_have_no_width():
    values = np.full((4, 100), 0.7)
    interval = mean_interval(values, rng())
    assert (interval.low, interval.high) == pytest.approx((0.7, 0.7))
    assert interval.real


def test_an_interval_around_zero_is_not_real():
    values = np.tile(np.array([[-1.0], [1.0], [-1.0], [1.0]]), (1, 400))
    interval = mean_interval(values, rng())
    assert interval.low < 0 < interval.high
    assert not interval.real


def test_seeds_and_frames_both_widen_the_interval():
    frames = rng(1).normal(0, 1, 4000)
    seeds = np.array([[-1.0], [0.0], [1.0], [0.5], [-0.5]])
    both = mean_interval(seeds + frames, rng(2))
    only_frames = mean_interval(0 * seeds + frames, rng(2))
    only_seeds = mean_interval(seeds + 0 * frames, rng(2))
    widths = [part.high - part.low for part in (both, only_frames, only_seeds)]
    assert widths[0] > max(widths[1:])
    assert widths[0] == pytest.approx(np.hypot(widths[1], widths[2]), rel=0.08)


def test_the_interval_covers_a_known_mean_about_as_often_as_it_says():
    # Five seeds with standard deviation 1 and test frames that shift all of them by N(0, 0.5).
    covered, trials = 0, 400
    for trial in range(trials):
        source = rng(100 + trial)
        seeds, shift = source.normal(0, 1, (5, 1)), source.normal(0, 0.5)
        resampled = np.concatenate([[0.0], source.normal(0, 0.5, 399)])
        interval = mean_interval(seeds + shift + resampled, source)
        covered += interval.low <= 0 <= interval.high
    # A bootstrap over five seeds has light tails: some below 95 %.
    assert 0.86 < covered / trials < 0.97


def test_runs_that_are_not_paired_are_refused():
    with pytest.raises(DataError, match='paired runs differ in number'):
        paired_interval(np.zeros((2, 5)), np.zeros((3, 5)), rng())


def test_a_resample_without_the_frame_with_the_detection_scores_nothing():
    one, zero = np.array([1]), np.array([0])
    matches = Matches(np.array([50, 50]), np.full(50, 0.9), np.repeat(0, 50), np.array([0.9]), zero, one * 50, zero)
    scores = resampled_precision(matches, np.array([[1, 1], [0, 2], [2, 0]]))
    assert scores[1] == 0
    assert scores[2] > scores[0] > 0


def test_sequences_are_numbered_without_gaps():
    sequences = [{'frames': ['a', 'b']}, {'frames': ['c']}, {'frames': ['d']}]
    assert sequence_numbers(['d', 'a', 'b'], sequences).tolist() == [1, 0, 0]


def test_a_frame_without_sequence_is_named():
    with pytest.raises(DataError, match='frame x'):
        sequence_numbers(['x'], [{'frames': ['a']}])

"""How sure a difference is: resampling seeds and test sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_distill.evaluation.kitti_resampling import Matches, average_precision
from mono_distill.utils.errors import DataError

RESAMPLES = 2000
# Of the resampling itself: the same numbers every time.
SEED = 20


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        value: The estimate on what was measured.
        low: 2.5 % quantile of the resamples.
        high: 97.5 % quantile.
    """

    value: float
    low: float
    high: float

    @property
    def real(self) -> bool:
        """Whether 0 lies outside."""
        return self.low > 0 or self.high < 0


def cluster_weights(clusters: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw whole sequences of frames with replacement.

    Args:
        clusters: (F,) number of each frame's sequence, 0 to C - 1.
        count: Resamples.
        rng: Source of randomness.

    Returns:
        (count, F) how often each frame counts; the first is the sample itself.
    """
    number = int(clusters.max()) + 1
    drawn = rng.multinomial(number, np.full(number, 1 / number), size=count - 1)
    return np.concatenate([np.ones((1, number), np.int64), drawn])[:, clusters]


def resampled_precision(matches: Matches, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the AP40 of every resample (R,)."""
    return np.array([average_precision(matches, row) for row in weights])


def seed_draws(seeds: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw seeds with replacement: (count, seeds); the first is every seed once."""
    drawn = rng.integers(0, seeds, size=(count - 1, seeds))
    return np.concatenate([np.arange(seeds)[None], drawn])


def paired_interval(arm: NDArray[np.float64], control: NDArray[np.float64], rng: np.random.Generator) -> Interval:
    """Interval of the mean paired difference over seeds and frames.

    Every resample draws test sequences (the same for both arms and all seeds) and then seeds, so both sources of chance
    are in the interval. Few seeds make the bootstrap over them too narrow by ``sqrt((S - 1) / S)`` (it divides by S and
    not by S - 1), so their deviations from the mean are widened by the inverse.

    Args:
        arm: (S, R) AP of every seed and resample of the frames; column 0 is the test split itself.
        control: The same of the control.
        rng: Source of randomness.

    Raises:
        DataError: The two differ in shape or hold no seed.
    """
    if arm.shape != control.shape or not len(arm):
        raise DataError(f'paired runs differ in number: {arm.shape} and {control.shape}')
    return mean_interval(arm - control, rng)


def mean_interval(values: NDArray[np.float64], rng: np.random.Generator) -> Interval:
    """Interval of the mean over seeds of (S, R) values, see :func:`paired_interval`."""
    seeds, count = values.shape
    draws = seed_draws(seeds, count, rng)
    centre = values.mean(axis=0)
    widening = np.sqrt(seeds / (seeds - 1)) if seeds > 1 else 1.0
    drawn = values[draws.T, np.arange(count)].mean(axis=0)
    resampled = centre + widening * (drawn - centre)
    low, high = np.quantile(resampled[1:], [0.025, 0.975])
    return Interval(float(centre[0]), float(low), float(high))


def sequence_numbers(frames: Sequence[str], sequences: Sequence[Mapping[str, object]]) -> NDArray[np.int64]:
    """Return the number of each frame's sequence, counted from 0 in the order of ``sequences``.

    Args:
        frames: Names of the evaluated frames.
        sequences: Entries of ``sequences.json``, each with ``frames``.

    Raises:
        DataError: A frame belongs to no sequence.
    """
    number: dict[str, int] = {}
    for index, sequence in enumerate(sequences):
        names = sequence['frames']
        if isinstance(names, list):
            number |= dict.fromkeys(names, index)
    missing = [frame for frame in frames if frame not in number]
    if missing:
        raise DataError(f'frame {missing[0]} belongs to no sequence of sequences.json')
    present = sorted({number[frame] for frame in frames})
    compact = {value: index for index, value in enumerate(present)}
    return np.array([compact[number[frame]] for frame in frames], dtype=np.int64)

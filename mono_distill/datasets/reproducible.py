"""Samples whose randomness is a pure function of the seed, the epoch and the index."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch

from mono_distill.utils.errors import ConfigError

_SEED, _EPOCH, _EPOCH_IS_SET, _DRAWS = range(4)


@contextmanager
def seeded_generators(*entropy: int) -> Iterator[None]:
    """Seed ``random`` and ``numpy.random`` from non-negative integers inside the block, and restore them after it.

    These two global generators, and no others, are what transforms of mmcv, mmdet, mmdet3d and this package draw from.

    Example:
        >>> with seeded_generators(0, 3, 17):
        ...     first = np.random.rand()
        >>> with seeded_generators(0, 3, 17):
        ...     second = np.random.rand()
        >>> first == second
        True
    """
    words = np.random.SeedSequence(entropy).generate_state(4)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(words.tobytes())
    np.random.seed(words)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


class _SharedState:
    """Four integers in shared memory: seed, epoch, whether the epoch was ever set, samples drawn so far.

    Worker processes of a ``DataLoader``, forked or spawned, see later changes; a deep copy of a dataset gets its own.
    """

    def __init__(self, values: list[int]) -> None:
        self.values = torch.tensor(values, dtype=torch.int64).share_memory_()

    def __deepcopy__(self, memo: dict[int, Any]) -> _SharedState:
        return _SharedState(self.values.tolist())


def _checked(name: str, value: int) -> int:
    if int(value) != value or value < 0:
        raise ConfigError(f'{name} must be a non-negative integer, got {value!r}')
    return int(value)


class ReproducibleSamples:
    """Mixin that makes ``dataset[index]`` a pure function of (seed, epoch, index).

    Put it before the dataset class: ``class MyDataset(ReproducibleSamples, BaseDataset)``. The generators of ``random``
    and ``numpy.random`` are seeded around ``__getitem__`` (so around the pipeline, and around the substitution of a
    frame where the dataset does that) and restored afterwards. Neither the number of workers nor their start method
    changes a sample. Seed and epoch live in shared memory: persistent workers see :meth:`set_epoch`.

    A dataset that is used without anything calling :meth:`set_epoch` would repeat the same augmentations in every
    epoch; it says so once, when more than two passes were drawn.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._reproducible = _SharedState([0, 0, 0, 0])
        super().__init__(*args, **kwargs)

    @property
    def seed(self) -> int:
        """The seed in force."""
        return int(self._reproducible.values[_SEED])

    @property
    def epoch(self) -> int:
        """The epoch in force, counted from 0."""
        return int(self._reproducible.values[_EPOCH])

    def set_seed(self, seed: int) -> None:
        """Set the seed of all later samples.

        Raises:
            ConfigError: ``seed`` is negative or not an integer.
        """
        self._reproducible.values[_SEED] = _checked('seed', seed)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of all later samples; call it before the epoch's iterator is made.

        Raises:
            ConfigError: ``epoch`` is negative or not an integer.
        """
        self._reproducible.values[_EPOCH] = _checked('epoch', epoch)
        self._reproducible.values[_EPOCH_IS_SET] = 1

    def __getitem__(self, index: int) -> Any:
        """Return sample ``index``, drawn with the generators of (seed, epoch, index)."""
        return self.draw(index)

    def draw(self, index: int, repetition: int = 0) -> Any:
        """Return sample ``index`` as its ``repetition``-th draw in this epoch; draw 0 is ``self[index]``."""
        position = index if index >= 0 else len(cast(Sized, self)) + index
        seed, epoch, epoch_is_set, draws = self._reproducible.values.tolist()
        if not epoch_is_set:
            self._warn_about_repetition(draws)
        with seeded_generators(seed, epoch, position, *([repetition] if repetition else [])):
            return super().__getitem__(index)  # type: ignore[misc]

    def _warn_about_repetition(self, draws: int) -> None:
        # Workers may lose a count to each other: the number only decides when to warn.
        self._reproducible.values[_DRAWS] = draws + 1
        if draws == 2 * len(cast(Sized, self)) and not getattr(self, 'test_mode', False):
            logging.getLogger('mono_distill').warning(
                'More than two passes over %s were drawn and set_epoch was never called: every epoch sees the same '
                'augmentations. Train with mono_distill.ResumableEpochLoop, or call set_epoch before every epoch.',
                type(self).__name__,
            )

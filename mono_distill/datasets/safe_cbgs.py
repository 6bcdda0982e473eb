"""Class-balanced resampling that survives absent classes and is a function of the seed."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.datasets.reproducible import ReproducibleSamples
from mono_distill.registry import DATASETS
from mono_distill.utils.errors import ConfigError


@DATASETS.register_module()
class SafeCBGSDataset:
    r"""Draws key-frames so that every class occurs in equally many draws (CBGS).

    Of the :math:`n_c` key-frames with class :math:`c`, :math:`\lfloor \frac{1}{C} \sum_k n_k \rfloor` are drawn with
    replacement, for each of the :math:`C` classes that occur at all. An epoch is as long as all :math:`n_c` together.
    mmdet3d's ``CBGSDataset`` divides by zero where a class does not occur, draws from the global generator, and
    hands all copies of a key-frame the same index, so that a reproducible data set would augment them alike. A
    key-frame without boxes belongs to no class and is never drawn.

    Source: Zhu et al., "Class-balanced Grouping and Sampling for Point Cloud 3D Object Detection", section 3.1.

    Args:
        dataset: Config of the data set, or the data set: a :class:`ReproducibleSamples` with ``get_cat_ids``.
        seed: Of the draw; None takes that of the data set.
        reseed_every_epoch: Draw anew in every epoch instead of once; ``ResumableEpochLoop`` tells the epoch.
        lazy_init: Read the info file later.

    Raises:
        ConfigError: The data set has no classes or draws its samples in another way, or none of its key-frames has a
            box.
    """

    def __init__(
        self, dataset: Any, *, seed: int | None = None, reseed_every_epoch: bool = False, lazy_init: bool = False
    ) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        if not (isinstance(dataset, ReproducibleSamples) and hasattr(dataset, 'get_cat_ids')):
            raise ConfigError(
                f'SafeCBGSDataset needs a reproducible data set with get_cat_ids, such as NuScenesBEVDataset; '
                f'{type(dataset).__name__} is none'
            )
        self.dataset: Any = dataset
        self.seed = seed
        self.reseed_every_epoch = reseed_every_epoch
        self._members: list[NDArray[np.int64]] | None = None
        self._drawn: tuple[tuple[int, int], NDArray[np.int64], NDArray[np.int64]] | None = None
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict[str, Any]:
        """Meta information of the data set."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read the info file and count the classes."""
        self.dataset.full_init()
        self._classes()

    def _classes(self) -> list[NDArray[np.int64]]:
        """Return the key-frames of every class that occurs."""
        if self._members is None:
            names = self.metainfo['classes']
            found: list[list[int]] = [[] for _ in names]
            for index in range(len(self.dataset)):
                for label in self.dataset.get_cat_ids(index):
                    found[label].append(index)
            if not any(found):
                raise ConfigError('SafeCBGSDataset: no key-frame has a box, so there are no classes to balance')
            absent = [name for name, members in zip(names, found, strict=True) if not members]
            if absent:
                logging.getLogger('mono_distill').warning(
                    'SafeCBGSDataset: no key-frame has a box of %s; the other classes are balanced', ', '.join(absent)
                )
            self._members = [np.array(members, dtype=np.int64) for members in found if members]
        return self._members

    def __len__(self) -> int:
        """Draws of an epoch."""
        members = self._classes()
        return len(members) * (sum(map(len, members)) // len(members))

    def draws(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return, for every draw of the epoch in force, the key-frame and how often it was drawn before."""
        seed = self.dataset.seed if self.seed is None else self.seed
        key = seed, self.dataset.epoch if self.reseed_every_epoch else 0
        if self._drawn is None or self._drawn[0] != key:
            members = self._classes()
            generator = np.random.default_rng(key)
            share = sum(map(len, members)) // len(members)
            indices = np.concatenate([generator.choice(frames, share) for frames in members])
            self._drawn = key, indices, occurrences(indices)
        return self._drawn[1], self._drawn[2]

    def __getitem__(self, idx: int) -> Any:
        """Return draw ``idx``; copies of a key-frame are augmented differently."""
        indices, repetitions = self.draws()
        return self.dataset.draw(int(indices[idx]), int(repetitions[idx]))

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return the input of the pipeline for draw ``idx``."""
        return self.dataset.get_data_info(int(self.draws()[0][idx]))

    def get_cat_ids(self, idx: int) -> set[int]:
        """Return the labels of draw ``idx``."""
        return self.dataset.get_cat_ids(int(self.draws()[0][idx]))


def occurrences(values: NDArray) -> NDArray[np.int64]:
    """Return how often each value occurred before its place.

    Example:
        >>> occurrences(np.array([3, 5, 3, 3, 5])).tolist()
        [0, 0, 1, 2, 1]
    """
    order = np.argsort(values, kind='stable')
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    first = np.repeat(starts, np.diff(np.r_[starts, len(values)]))
    counts = np.empty(len(values), dtype=np.int64)
    counts[order] = np.arange(len(values)) - first
    return counts

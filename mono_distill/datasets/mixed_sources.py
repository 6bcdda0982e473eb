"""A sampler for labelled and unlabelled frames side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from mmengine.dataset import ConcatDataset
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from mono_distill.registry import DATA_SAMPLERS
from mono_distill.utils.errors import ConfigError


@DATA_SAMPLERS.register_module()
class MixedSourcesSampler(Sampler[int]):
    """Draws from the parts of a ``ConcatDataset`` in a fixed pattern.

    With ``pattern=(2, 2)`` and a batch size of four every batch holds two samples of the first part and two of the
    second, however many frames either has. A part that is exhausted is shuffled again. Order and shuffling depend on
    the seed and the epoch alone; ranks share the repetitions of the pattern.

    Args:
        dataset: A ``ConcatDataset`` with as many parts as the pattern has entries.
        pattern: Samples of each part in one repetition; make their sum the batch size of one process.
        length: Samples of an epoch over all ranks, rounded up to whole repetitions on every rank.
        shuffle: Whether the parts are shuffled.
        seed: Seed of the shuffling; ``ResumableEpochLoop`` sets the run's.

    Raises:
        ConfigError: The data set has other parts than the pattern, a part is empty, or a number is not positive.
    """

    def __init__(
        self,
        dataset: ConcatDataset,
        pattern: Sequence[int],
        *,
        length: int,
        shuffle: bool = True,
        seed: int | None = 0,
    ) -> None:
        parts = getattr(dataset, 'datasets', [])
        if len(parts) != len(pattern) or min(pattern) < 1 or length < 1:
            raise ConfigError(
                f'MixedSourcesSampler: pattern={tuple(pattern)} and length={length} must be positive, with one entry '
                f'for each part of a ConcatDataset; this data set has {len(parts)} parts'
            )
        self.sizes = [len(part) for part in parts]
        if not all(self.sizes):
            raise ConfigError(f'MixedSourcesSampler: a part of the data set is empty, their sizes are {self.sizes}')
        self.pattern = tuple(pattern)
        self.rank, self.world_size = get_dist_info()
        self.repetitions = -(-length // (sum(self.pattern) * self.world_size))
        self.shuffle = shuffle
        self.seed = seed or 0
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        """Yield indices of the whole data set."""
        offsets = [0, *accumulate(self.sizes)]
        streams = [
            self._stream(number, size, count)
            for number, (size, count) in enumerate(zip(self.sizes, self.pattern, strict=True))
        ]
        for repetition in range(self.repetitions * self.world_size):
            drawn = [
                offsets[number] + next(stream)
                for number, (stream, count) in enumerate(zip(streams, self.pattern, strict=True))
                for _ in range(count)
            ]
            if repetition % self.world_size == self.rank:
                yield from drawn

    def __len__(self) -> int:
        """Samples of this rank in an epoch."""
        return self.repetitions * sum(self.pattern)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which changes the order."""
        self.epoch = epoch

    def _stream(self, number: int, size: int, count: int) -> Iterator[int]:
        """Yield the samples of a part without end, beginning where the last epoch stopped."""
        drawn = self.epoch * self.repetitions * self.world_size * count
        while True:
            lap, start = divmod(drawn, size)
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + number) * 1_000_003 + lap)
            order = torch.randperm(size, generator=generator).tolist() if self.shuffle else list(range(size))
            yield from order[start:]
            drawn += size - start

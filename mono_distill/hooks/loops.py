"""A training loop that resumes exactly, in the middle of an epoch too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset

from mono_distill.registry import LOOPS
from mono_distill.utils.errors import ConfigError


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """mmengine's epoch loop with three additions that make a run a function of its seed.

    * Data sets with ``set_seed`` and ``set_epoch`` (:class:`mono_distill.datasets.ReproducibleSamples`) are told both,
      so the augmentation of a sample does not depend on workers or on what came before.
    * The data loader draws from a generator of its own instead of the global one.
    * Resumed in the middle of an epoch (``CheckpointHook(by_epoch=False)``), it skips the batches that were done,
      without loading them; mmengine's loop would repeat the epoch from its start.

    A checkpoint from the end of an epoch may be resumed with another batch size or number of processes.

    Raises:
        ConfigError: A checkpoint from the middle of an epoch is resumed with epochs of another length.
    """

    def __init__(self, runner: Runner, dataloader: Any, max_epochs: int, **options: Any) -> None:
        super().__init__(runner, dataloader, max_epochs, **options)
        self._iter: int = 0
        self._checkpoint_length = len(self.dataloader)
        runner.register_hook(_EpochLengthHook(self), priority='VERY_LOW')

    def run(self) -> torch.nn.Module:
        """Train. The seed is read here because resuming may have replaced it by the checkpoint's."""
        self._count_in_own_batches()
        seed = self.runner.seed
        self.dataloader.generator = torch.Generator().manual_seed(seed)
        if hasattr(self.dataloader.sampler, 'seed'):
            self.dataloader.sampler.seed = seed
        for dataset in reproducible_parts(self.dataloader.dataset):
            dataset.set_seed(seed)
        return super().run()

    def _count_in_own_batches(self) -> None:
        """Translate the iteration of a checkpoint whose epochs had another number of batches."""
        length = len(self.dataloader)
        if self._checkpoint_length == length:
            return
        if self._iter != self._epoch * self._checkpoint_length:
            raise ConfigError(
                f'the checkpoint is from the middle of an epoch of {self._checkpoint_length} batches, and an epoch has '
                f'{length} now: resume with the same total batch size, or from a checkpoint of the end of an epoch'
            )
        self._iter = self._epoch * length

    def run_epoch(self) -> None:
        """Train one epoch, or what is left of it."""
        done = self._iter - self._epoch * len(self.dataloader)
        for dataset in reproducible_parts(self.dataloader.dataset):
            dataset.set_epoch(self._epoch)
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        with skip_batches(self.dataloader, done):
            for idx, data_batch in enumerate(self.dataloader, start=done):
                self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


class _EpochLengthHook(Hook):
    """Keeps the number of batches of an epoch in checkpoints."""

    key = 'batches_per_epoch'

    def __init__(self, loop: ResumableEpochLoop) -> None:
        self.loop = loop

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint['meta'][self.key] = len(self.loop.dataloader)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if runner._resume:
            self.loop._checkpoint_length = checkpoint.get('meta', {}).get(self.key, len(self.loop.dataloader))


def reproducible_parts(dataset: Dataset) -> list[Any]:
    """Return the data sets inside wrappers (repeat, concatenate, balance) that take a seed and an epoch."""
    found = [dataset] if hasattr(dataset, 'set_epoch') and hasattr(dataset, 'set_seed') else []
    inner = [getattr(dataset, 'dataset', None), *getattr(dataset, 'datasets', [])]
    return found + [part for child in inner if child is not None for part in reproducible_parts(child)]


class _Rest:
    """A sampler without its first samples; its length stays the whole epoch's, which progress displays count in."""

    def __init__(self, sampler: Any, start: int) -> None:
        self.sampler = sampler
        self.start = start

    def __iter__(self) -> Iterator[int]:
        return islice(iter(self.sampler), self.start, None)

    def __len__(self) -> int:
        return len(self.sampler)


@contextmanager
def skip_batches(loader: DataLoader, count: int) -> Iterator[None]:
    """Leave out the first ``count`` batches of one pass over a data loader."""
    batches: Any = loader.batch_sampler
    if count == 0:
        yield
        return
    whole = batches.sampler
    batches.sampler = _Rest(whole, count * batches.batch_size)
    try:
        yield
    finally:
        batches.sampler = whole

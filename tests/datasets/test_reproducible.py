from __future__ import annotations

import copy
import logging
import multiprocessing
import random

import numpy as np
import pytest
from numbers_dataset import ReproducibleNumbers
from torch.utils.data import DataLoader, Dataset

from mono_distill.datasets.reproducible import seeded_generators
from mono_distill.utils.errors import ConfigError


def _pass(loader: DataLoader) -> list[tuple[int, float, float]]:
    return sorted(tuple(float(value) for value in sample) for batch in loader for sample in zip(*batch, strict=True))


def _loader(dataset: Dataset, workers: int, context: str | None = None) -> DataLoader:
    return DataLoader(
        dataset,
        batch_size=2,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context=context,
    )


def _two_epochs(workers: int, context: str | None = None) -> list[list[tuple[int, float, float]]]:
    dataset = ReproducibleNumbers()
    dataset.set_seed(7)
    loader = _loader(dataset, workers, context)
    passes = []
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        passes.append(_pass(loader))
    return passes


def test_a_sample_depends_on_seed_epoch_and_index_only():
    dataset = ReproducibleNumbers()
    dataset.set_seed(1)
    dataset.set_epoch(5)
    expected = dataset[3]
    random.seed(99)
    np.random.seed(99)
    dataset[0]
    assert dataset[3] == expected
    assert dataset[3][1:] != dataset[2][1:]
    dataset.set_epoch(6)
    assert dataset[3] != expected
    dataset.set_epoch(5)
    dataset.set_seed(2)
    assert dataset[3] != expected


def test_a_negative_index_draws_the_sample_it_names():
    dataset = ReproducibleNumbers()
    assert dataset[-1] == dataset[5]


def test_the_global_generators_are_left_as_they_were():
    dataset = ReproducibleNumbers()
    random.seed(0)
    np.random.seed(0)
    expected = random.random(), np.random.rand()
    random.seed(0)
    np.random.seed(0)
    dataset[0]
    assert (random.random(), np.random.rand()) == expected


def test_the_global_generators_are_restored_after_an_error():
    state = random.getstate(), np.random.get_state()[1].tolist()
    with pytest.raises(RuntimeError, match='boom'), seeded_generators(1):
        raise RuntimeError('boom')
    assert (random.getstate(), np.random.get_state()[1].tolist()) == state


def test_workers_draw_what_the_main_process_draws():
    alone, forked = _two_epochs(0), _two_epochs(2, 'fork')
    assert forked == alone
    assert alone[0] != alone[1]


def test_a_persistent_spawned_worker_sees_a_new_epoch():
    if 'spawn' not in multiprocessing.get_all_start_methods():
        pytest.skip('no spawn on this platform')
    # One is enough: a spawned process imports the package anew, which takes seconds.
    assert _two_epochs(1, 'spawn') == _two_epochs(0)


def test_a_copy_has_its_own_epoch():
    dataset = ReproducibleNumbers()
    other = copy.deepcopy(dataset)
    other.set_epoch(3)
    assert (dataset.epoch, other.epoch) == (0, 3)
    assert other._reproducible.values.is_shared()


@pytest.mark.parametrize(('method', 'value'), [('set_seed', -1), ('set_epoch', 1.5)])
def test_seed_and_epoch_must_be_non_negative_integers(method, value):
    with pytest.raises(ConfigError, match='non-negative integer'):
        getattr(ReproducibleNumbers(), method)(value)


def test_repeated_passes_without_an_epoch_are_reported_once(caplog):
    dataset = ReproducibleNumbers(length=2)
    with caplog.at_level(logging.WARNING, logger='mono_distill'):
        for _ in range(4):
            dataset[0]
        assert not caplog.records
        for _ in range(4):
            dataset[0]
    assert [record.getMessage().count('set_epoch was never called') for record in caplog.records] == [1]


def test_setting_epochs_gives_no_warning(caplog):
    dataset = ReproducibleNumbers(length=1)
    with caplog.at_level(logging.WARNING, logger='mono_distill'):
        for epoch in range(6):
            dataset.set_epoch(epoch)
            dataset[0]
    assert not caplog.records

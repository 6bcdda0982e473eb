import numpy as np
import pytest
from mmengine.dataset import BaseDataset

from mono_distill.datasets import RepeatDataset, ReproducibleSamples
from mono_distill.utils.errors import ConfigError


class Plain(BaseDataset):
    """Three samples of one random number each."""

    def load_data_list(self):
        return [{} for _ in range(3)]

    def prepare_data(self, idx):
        return idx, np.random.rand()


class Numbers(ReproducibleSamples, Plain):
    pass


def repeated(epoch=0):
    dataset = RepeatDataset(Numbers(), times=4)
    dataset.dataset.set_epoch(epoch)
    return dataset


def test_every_repetition_is_drawn_anew():
    samples = [repeated()[i] for i in range(12)]
    assert [index for index, _ in samples] == [0, 1, 2] * 4
    assert len({number for _, number in samples}) == 12


def test_the_first_repetition_is_the_data_set_itself():
    dataset = repeated(epoch=2)
    assert [dataset[i] for i in range(3)] == [dataset.dataset[i] for i in range(3)]


def test_the_same_index_is_the_same_sample():
    assert repeated()[7] == repeated()[7]
    assert repeated()[7] != repeated(epoch=1)[7]


def test_other_data_sets_are_refused():
    with pytest.raises(ConfigError, match="Plain is none; use mmengine's RepeatDataset"):
        RepeatDataset(Plain(), times=2)

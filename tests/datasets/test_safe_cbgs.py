"""Classes balanced by resampling, with classes that do not occur."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
import pytest
from mmdet3d.datasets import CBGSDataset
from mmengine.dataset import BaseDataset

from mono_distill.datasets import ReproducibleSamples, SafeCBGSDataset
from mono_distill.hooks.loops import reproducible_parts
from mono_distill.utils.errors import ConfigError

CLASSES = ('car', 'bus', 'bicycle')


class Labels(BaseDataset):
    """Samples that are nothing but the classes they hold, and a random number."""

    METAINFO = {'classes': CLASSES}

    def __init__(self, labels):
        self.labels = labels
        super().__init__(pipeline=[], serialize_data=False)

    def load_data_list(self):
        return [{'labels': set(labels)} for labels in self.labels]

    def get_cat_ids(self, idx):
        return self.get_data_info(idx)['labels']

    def prepare_data(self, idx):
        return idx, np.random.rand()


class ReproducibleLabels(ReproducibleSamples, Labels):
    pass


MANY = [{0}] * 90 + [{0, 1}] * 9 + [{2}] * 3 + [set()] * 5


def drawn(dataset):
    return [int(index) for index in dataset.draws()[0]]


def test_every_class_is_drawn_equally_often():
    dataset = SafeCBGSDataset(ReproducibleLabels(MANY))
    # 99 samples have class 0, 9 class 1 and 3 class 2: 111 // 3 draws for each.
    assert len(dataset) == 3 * 37 == len(dataset.draws()[0])
    shares = np.split(np.array(drawn(dataset)), 3)
    assert all(share.max() < 99 for share in shares[:1])
    assert set(shares[1]) <= set(range(90, 99))
    assert set(shares[2]) == set(range(99, 102))


def test_an_epoch_is_as_long_as_mmdet3ds():
    assert len(SafeCBGSDataset(ReproducibleLabels(MANY))) == len(CBGSDataset(Labels(MANY)))


def test_an_absent_class_is_left_out_with_a_warning(caplog):
    labels = [{0}] * 8 + [{2}] * 2
    with pytest.raises(ZeroDivisionError):
        CBGSDataset(Labels(labels))
    with caplog.at_level(logging.WARNING, logger='mono_distill'):
        dataset = SafeCBGSDataset(ReproducibleLabels(labels))
    assert 'no key-frame has a box of bus; the other classes are balanced' in caplog.text
    counts = Counter(next(iter(dataset.get_cat_ids(index))) for index in range(len(dataset)))
    assert counts == {0: 5, 2: 5}


def test_samples_without_boxes_are_never_drawn():
    assert max(drawn(SafeCBGSDataset(ReproducibleLabels(MANY)))) < 102


def test_no_box_at_all_is_an_error():
    with pytest.raises(ConfigError, match='no key-frame has a box'):
        SafeCBGSDataset(ReproducibleLabels([set(), set()]))


def test_the_draw_depends_on_the_seed_alone():
    first, second = (SafeCBGSDataset(ReproducibleLabels(MANY)) for _ in range(2))
    np.random.seed(7)
    assert drawn(first) == drawn(second)
    second.dataset.set_seed(1)
    assert drawn(first) != drawn(second)
    own = SafeCBGSDataset(ReproducibleLabels(MANY), seed=1)
    own.dataset.set_seed(5)
    assert drawn(own) == drawn(second)


def test_an_epoch_draws_anew_only_if_asked_to():
    fixed = SafeCBGSDataset(ReproducibleLabels(MANY))
    anew = SafeCBGSDataset(ReproducibleLabels(MANY), reseed_every_epoch=True)
    before = drawn(fixed), drawn(anew)
    for dataset in (fixed, anew):
        dataset.dataset.set_epoch(1)
    assert drawn(fixed) == before[0]
    assert drawn(anew) != before[1]
    assert len(drawn(anew)) == len(before[1])
    anew.dataset.set_epoch(0)
    assert drawn(anew) == before[1]


def test_copies_of_a_sample_are_augmented_differently_and_again_alike():
    dataset = SafeCBGSDataset(ReproducibleLabels([{0}] * 6 + [{1}]))
    samples = [dataset[index] for index in range(len(dataset))]
    copies = [value for index, value in samples if index == 6]
    assert len(copies) == len(set(copies)) == 3
    assert [dataset[index] for index in range(len(dataset))] == samples


def test_the_training_loop_reaches_the_inner_data_set():
    dataset = SafeCBGSDataset(ReproducibleLabels(MANY))
    assert reproducible_parts(dataset) == [dataset.dataset]
    assert dataset.metainfo['classes'] == CLASSES


def test_a_data_set_that_draws_in_another_way_is_refused():
    with pytest.raises(ConfigError, match='needs a reproducible data set with get_cat_ids.*Labels is none'):
        SafeCBGSDataset(Labels(MANY))


def test_it_balances_the_embedded_world(tiny_nuscenes):
    dataset = SafeCBGSDataset(
        dict(
            type='mono_distill.NuScenesBEVDataset',
            ann_file='nuscenes_infos_train.pkl',
            data_root=str(tiny_nuscenes),
        )
    )
    assert dataset.get_data_info(0)['token']
    assert set(drawn(dataset)) <= {0, 1, 2}

from __future__ import annotations

from collections import Counter

import pytest
from numbers_dataset import Numbers

from mono_distill.datasets import MixedSourcesSampler
from mono_distill.utils.errors import ConfigError


class Parts:
    """Stands in for a ConcatDataset of parts of these sizes."""

    def __init__(self, *sizes):
        self.datasets = [range(size) for size in sizes]


def sampler(*sizes, **options):
    return MixedSourcesSampler(Parts(*sizes), (2, 2), **{'length': 12, **options})


def test_every_batch_has_its_share_of_each_part():
    drawn = list(sampler(5, 100))
    assert len(drawn) == len(sampler(5, 100)) == 12
    batches = [drawn[i : i + 4] for i in range(0, 12, 4)]
    assert all([index < 5 for index in batch] == [True, True, False, False] for batch in batches)
    assert all(0 <= index < 105 for index in drawn)


def test_no_frame_comes_again_before_all_others_came():
    one = sampler(5, 100, length=40)
    drawn = [index for epoch in range(4) for index in _of_epoch(one, epoch)]
    small, large = [i for i in drawn if i < 5], [i for i in drawn if i >= 5]
    assert set(Counter(small).values()) == {16}
    assert len(small) == len(large) == 80
    assert len(set(large)) == 80


def test_seed_and_epoch_alone_decide():
    assert list(sampler(9, 9, seed=1)) == list(sampler(9, 9, seed=1))
    assert list(sampler(9, 9, seed=1)) != list(sampler(9, 9, seed=2))
    assert _of_epoch(sampler(9, 9), 1) != _of_epoch(sampler(9, 9), 0)


def test_without_shuffling_parts_are_read_in_order():
    assert list(sampler(3, 10, length=8, shuffle=False)) == [0, 1, 3, 4, 2, 0, 5, 6]


def test_ranks_share_the_batches(monkeypatch):
    whole = list(sampler(5, 50, length=16))
    shares = []
    for rank in range(2):
        monkeypatch.setattr('mono_distill.datasets.mixed_sources.get_dist_info', lambda rank=rank: (rank, 2))
        shares.append(list(sampler(5, 50, length=16)))
    assert [len(share) for share in shares] == [8, 8]
    assert shares[0][:4] + shares[1][:4] + shares[0][4:] + shares[1][4:] == whole


def test_a_length_between_two_batches_is_rounded_up():
    assert len(sampler(5, 5, length=9)) == 12


@pytest.mark.parametrize('options', [dict(pattern=(2, 0)), dict(pattern=(4,)), dict(pattern=(2, 2), length=0)])
def test_impossible_patterns_are_refused(options):
    with pytest.raises(ConfigError, match='MixedSourcesSampler'):
        MixedSourcesSampler(Parts(3, 3), **{'length': 8, **options})


def test_a_data_set_without_parts_or_with_an_empty_one_is_refused():
    with pytest.raises(ConfigError, match='has 0 parts'):
        MixedSourcesSampler(Numbers(4), (2, 2), length=4)
    with pytest.raises(ConfigError, match='empty'):
        sampler(3, 0)


def _of_epoch(one, epoch):
    one.set_epoch(epoch)
    return list(one)

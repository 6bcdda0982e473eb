from __future__ import annotations

import pytest

from mono_distill.synthetic.kitti.options import KittiOptions
from mono_distill.utils.errors import ConfigError


def options(frames=40, **values):
    return KittiOptions('kitti', frames, **values)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'frames': 0}, r'frames must be 1 to 1000000, got 0'),
        ({'frames': 1_000_001}, r'frames must be 1 to 1000000'),
        ({'seed': -1}, r'seed must be from 0 to 2\*\*32 - 1, got -1'),
        ({'seed': 2**32}, r'seed must be from 0 to 2\*\*32 - 1'),
        ({'image_scale': 0.0}, r'image_scale must be above 0 and at most 1, got 0\.0'),
        ({'image_scale': 1.5}, r'image_scale must be above 0 and at most 1, got 1\.5'),
        ({'image_scale': float('nan')}, r'image_scale must be above 0'),
        ({'image_scale': 0.05}, r'image_scale must be larger, for the images to have 32 rows, got 0\.05'),
        ({'difficulty': 1.2}, r'difficulty must be 0 to 1, got 1\.2'),
        ({'difficulty': -0.1}, r'difficulty must be 0 to 1'),
        ({'val_share': 1.0}, r'val_share must be 0 to below 1, got 1\.0'),
        ({'val_share': -0.1}, r'val_share must be 0 to below 1'),
        ({'frames_per_sequence': 0}, r'frames_per_sequence must be at least 1'),
        ({'frame_gap': 0.0}, r'frame_gap must be above 0'),
    ],
)
def test_impossible_values_are_refused_with_the_possible_ones(values, message):
    with pytest.raises(ConfigError, match=message):
        options(**values)


def test_sequences_cover_the_frames_and_the_last_may_be_short():
    assert [list(frames) for frames in options(23).sequences()] == [
        list(range(10)),
        list(range(10, 20)),
        [20, 21, 22],
    ]


def test_splits_are_made_of_whole_sequences():
    splits = options(40).splits()
    assert splits['val'] == [f'{number:06d}' for number in range(10, 20)]
    assert sorted(splits['train'] + splits['val']) == splits['trainval'] == [f'{n:06d}' for n in range(40)]


@pytest.mark.parametrize('share', [0.0, 0.1, 0.25, 0.5, 0.9])
def test_share_of_the_sequences_is_for_validation(share):
    many = options(10_000, val_share=share)
    assert len(many.splits()['val']) == pytest.approx(10_000 * share, abs=10)
    assert many.split_of(0) == 'train'


def test_split_of_a_sequence_does_not_depend_on_how_many_follow():
    assert options(400).splits()['val'][: len(options(80).splits()['val'])] == options(80).splits()['val']


def test_fingerprint_covers_the_options_but_not_the_folder():
    first = options().manifest()
    assert KittiOptions('elsewhere', 40).manifest() == first
    assert options(seed=1).manifest()['fingerprint'] != first['fingerprint']
    assert 'out' not in first['options']
    assert first['sequences'][1] == {'sequence': 1, 'split': 'val', 'frames': [f'{n:06d}' for n in range(10, 20)]}

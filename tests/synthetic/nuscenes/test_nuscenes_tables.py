from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from mono_distill.synthetic.nuscenes.options import NuScenesOptions
from mono_distill.synthetic.nuscenes.tables import build_tables, linked


def record(keyframe: int, *actors: str) -> dict:
    """A key-frame with one sweep before it and some boxes."""
    moment = 500_000 * (keyframe + 1)
    entries = [('LIDAR_TOP', moment - 50_000, False), ('CAM_FRONT', moment - 35_000, True), ('LIDAR_TOP', moment, True)]
    pose = {'translation': [0.0, 0.0, 0.0], 'rotation': [1.0, 0.0, 0.0, 0.0]}
    box = pose | {'category': 'vehicle.car', 'attribute': 'vehicle.parked', 'visibility': '4', 'size': [2, 4, 1.5]}
    return {
        'scene': 'scene-0061',
        'keyframe': keyframe,
        'data': [
            pose | {'channel': channel, 'timestamp': when, 'filename': f'{channel}{when}', 'is_key_frame': key}
            for channel, when, key in entries
        ],
        'annotations': [box | {'actor': actor, 'num_lidar_pts': 3} for actor in actors],
    }


@pytest.fixture(scope='module')
def tables() -> dict[str, list[dict]]:
    options = NuScenesOptions(Path('out'), scenes=2, keyframes=3, seed=0)
    return build_tables(options, [[record(0, 'a', 'b'), record(1, 'b'), record(2, 'a', 'b')], [record(0), record(1)]])


def test_a_sample_carries_the_time_of_its_scan(tables):
    assert [row['timestamp'] for row in tables['sample']] == [500_000, 1_000_000, 1_500_000, 500_000, 1_000_000]


def test_lists_end_at_the_scene(tables):
    ends = [(bool(row['prev']), bool(row['next'])) for row in tables['sample']]
    assert ends == [(False, True), (True, True), (True, False), (False, True), (True, False)]


def test_a_channels_list_runs_in_time_through_sweeps_and_key_frames(tables):
    rows = [row for row in tables['sample_data'] if row['filename'].startswith('LIDAR')][:6]
    assert [row['timestamp'] for row in rows] == sorted(row['timestamp'] for row in rows)
    assert [row['is_key_frame'] for row in rows] == [False, True] * 3
    assert all(after['prev'] == before['token'] for before, after in pairwise(rows))


def test_a_track_with_a_gap_stays_one_instance(tables):
    counts = sorted(row['nbr_annotations'] for row in tables['instance'])
    assert counts == [2, 3]
    gap = next(row for row in tables['instance'] if row['nbr_annotations'] == 2)
    first = next(row for row in tables['sample_annotation'] if row['token'] == gap['first_annotation_token'])
    assert first['next'] == gap['last_annotation_token']


def test_no_token_appears_twice(tables):
    for name, rows in tables.items():
        assert len({row['token'] for row in rows}) == len(rows), name


def test_tokens_depend_on_the_seed():
    options = [NuScenesOptions(Path('out'), scenes=2, keyframes=2, seed=seed) for seed in (0, 1)]
    first, second = (build_tables(each, [[record(0, 'a'), record(1, 'a')]]) for each in options)
    for name in set(first) - {'visibility'}:
        assert not {row['token'] for row in first[name]} & {row['token'] for row in second[name]}, name


def test_nothing_is_linked_to_nothing():
    assert linked([]) == []

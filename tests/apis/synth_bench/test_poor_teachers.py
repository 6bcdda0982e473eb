from __future__ import annotations

import pickle

import pytest

from mono_distill.apis.synth_bench.poor_teachers import partners, write_shuffled_infos


@pytest.mark.parametrize('count', [2, 3, 100])
def test_every_frame_gets_the_depth_of_another_and_all_are_used(count):
    found = partners(count, seed=3)
    assert sorted(found) == list(range(count))
    assert all(place != partner for place, partner in enumerate(found))


def test_only_the_depth_maps_change_places(tmp_path):
    entries = [{'sample_id': str(i), 'instances': [i], 'depth_map': {'dense': f'{i}.png'}} for i in range(5)]
    (tmp_path / 'infos.pkl').write_bytes(pickle.dumps({'metainfo': {'x': 1}, 'data_list': entries}))
    found = pickle.loads(write_shuffled_infos(tmp_path / 'infos.pkl').read_bytes())
    assert found['metainfo'] == {'x': 1}
    for old, new in zip(entries, found['data_list'], strict=True):
        assert new['depth_map'] != old['depth_map']
        assert {**new, 'depth_map': old['depth_map']} == old

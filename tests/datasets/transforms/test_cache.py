from __future__ import annotations

import numpy as np
import pytest
from mmcv.transforms import BaseTransform

from mono_distill.datasets import CacheTransforms
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, DataError


@TRANSFORMS.register_module(force=True)
class CountingLoader(BaseTransform):
    calls = 0

    def transform(self, results):
        type(self).calls += 1
        return None if results.get('broken') else {**results, 'img': np.full((2, 2), results['sample_idx'])}


@pytest.fixture
def cache():
    CountingLoader.calls = 0
    return CacheTransforms([dict(type='mono_distill.CountingLoader')])


def test_a_frame_is_loaded_once(cache):
    seen = [cache({'sample_idx': index})['img'][0, 0] for index in (3, 5, 3, 5, 3)]
    assert seen == [3, 5, 3, 5, 3]
    assert CountingLoader.calls == 2


def test_what_is_done_to_a_sample_does_not_reach_the_next(cache):
    cache({'sample_idx': 3})['img'][:] = 99
    cache({'sample_idx': 3})['new'] = 1
    again = cache({'sample_idx': 3})
    assert again['img'].tolist() == [[3, 3], [3, 3]]
    assert 'new' not in again


def test_a_sample_without_number_is_refused(cache):
    with pytest.raises(DataError, match='sample_idx'):
        cache({'img_path': 'a.png'})


def test_a_transform_that_returns_nothing_is_an_error(cache):
    with pytest.raises(DataError, match='returned nothing for sample 4'):
        cache({'sample_idx': 4, 'broken': True})


def test_an_empty_list_is_refused():
    with pytest.raises(ConfigError, match='LoadMonoImage first'):
        CacheTransforms([])


def test_the_key_frames_that_loaders_inside_ask_for_are_asked_for():
    loaders = [
        dict(type='mono_distill.LoadMultiViewImages', num_frames=2),
        dict(type='mono_distill.LoadLidarSweeps', num_past=2),
    ]
    assert CacheTransforms(loaders[:1]).past_keyframes == 1
    assert CacheTransforms(loaders).past_keyframes == 2


def test_other_loaders_ask_for_no_key_frames(cache):
    assert cache.past_keyframes == 0

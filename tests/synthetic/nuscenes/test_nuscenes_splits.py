from __future__ import annotations

import pytest
from nuscenes.utils import splits

from mono_distill.synthetic.nuscenes.splits import scene_names
from mono_distill.utils.errors import ConfigError


@pytest.mark.parametrize(('count', 'validation'), [(2, 1), (3, 1), (5, 1), (8, 2), (9, 2), (10, 2)])
def test_few_scenes_are_a_mini_set(count, validation):
    names = scene_names(count)
    assert names.version == 'v1.0-mini'
    assert len(names.val) == validation
    assert len(set(names.all)) == count
    assert set(names.train) <= set(splits.mini_train)
    assert set(names.val) <= set(splits.mini_val)


@pytest.mark.parametrize(('count', 'validation'), [(11, 2), (100, 20), (849, 150), (850, 150)])
def test_many_scenes_take_the_names_of_the_full_set(count, validation):
    names = scene_names(count)
    assert names.version == 'v1.0-trainval'
    assert len(names.val) == validation
    assert len(set(names.all)) == count
    assert set(names.train) <= set(splits.train)
    assert set(names.val) <= set(splits.val)


@pytest.mark.parametrize('count', [0, 1, 851])
def test_other_numbers_are_refused(count):
    with pytest.raises(ConfigError, match='2 to'):
        scene_names(count)

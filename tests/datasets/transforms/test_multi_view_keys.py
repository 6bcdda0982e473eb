from __future__ import annotations

import pytest

from mono_distill.datasets.transforms.multi_view_keys import checked_range, need
from mono_distill.utils.errors import ConfigError


def test_what_is_there_passes():
    results = {'img': 0, 'points': None, 'more': 1}
    need(results, 'img', 'points', transform='Any')
    assert results == {'img': 0, 'points': None, 'more': 1}


@pytest.mark.parametrize(
    ('key', 'source'), [('img', 'LoadMultiViewImages'), ('points', 'LoadLidarSweeps'), ('x', 'the transform that')]
)
def test_what_is_missing_is_named_with_its_source(key, source):
    with pytest.raises(ConfigError, match=f'Any found no {key}; put (mono_distill.)?{source}'):
        need({}, key, transform='Any')


@pytest.mark.parametrize('value', [1.0, (1.0,), ('a', 'b'), (2.0, 1.0), (0.0, float('inf')), (float('nan'), 1.0)])
def test_what_is_no_range_is_refused(value):
    with pytest.raises(ConfigError, match='Any: angle must be'):
        checked_range('angle', value, transform='Any')

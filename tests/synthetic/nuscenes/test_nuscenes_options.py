from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mono_distill.synthetic.nuscenes.options import MAX_KEYFRAMES, NuScenesOptions
from mono_distill.utils.errors import ConfigError

GOOD = NuScenesOptions(Path('out'), scenes=2, keyframes=2, seed=0)


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('scenes', 1),
        ('keyframes', 1),
        ('keyframes', MAX_KEYFRAMES + 1),
        ('seed', -1),
        ('image_scale', 0.0),
        ('image_scale', 1.01),
        ('image_scale', 0.03),
        ('difficulty', -0.1),
        ('difficulty', 1.1),
        ('jpeg_quality', 0),
    ],
)
def test_impossible_values_are_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=name):
        replace(GOOD, **{name: value})


def test_the_longest_scene_can_be_built_from_start_to_end():
    from mono_distill.synthetic.nuscenes.keyframe import scene_duration
    from mono_distill.synthetic.road import Road

    fastest, sight = 12.0, 130.0
    assert scene_duration(replace(GOOD, keyframes=MAX_KEYFRAMES)) * fastest + sight < Road.RANGE[1]


def test_the_manifest_depends_on_every_option_but_the_folder():
    fingerprint = GOOD.manifest()['fingerprint']
    assert replace(GOOD, out=Path('elsewhere')).manifest()['fingerprint'] == fingerprint
    changes = dict(scenes=3, keyframes=3, seed=1, image_scale=0.25, difficulty=0.4, jpeg_quality=80)
    for name, value in changes.items():
        assert replace(GOOD, **{name: value}).manifest()['fingerprint'] != fingerprint

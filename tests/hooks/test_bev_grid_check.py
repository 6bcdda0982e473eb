"""BEV features of different places are not compared."""

from types import SimpleNamespace

import pytest

from mono_distill.hooks import BEVGridCheckHook
from mono_distill.utils.errors import ConfigError

GRID = dict(point_cloud_range=(2.0, -30.0, 46.0, 30.0), bev_size=(94, 70))
BINS = dict(depth_range=(2.0, 46.8), depth_bins=40)


def detector(**layout):
    return SimpleNamespace(bev_layout=lambda: layout)


def check(student, **teachers):
    bank = SimpleNamespace(teachers={name: SimpleNamespace(model=model) for name, model in teachers.items()})
    BEVGridCheckHook().before_train(SimpleNamespace(model=SimpleNamespace(student=student, bank=bank)))


def test_networks_that_agree_in_what_both_have():
    check(detector(**GRID, **BINS), lidar=detector(**GRID), assistant=detector(**GRID, **BINS), other=object())


def test_a_teacher_with_another_range():
    with pytest.raises(ConfigError, match=r'point_cloud_range of the student is \(2.0.*, that of lidar \(0.0'):
        check(detector(**GRID, **BINS), lidar=detector(**{**GRID, 'point_cloud_range': (0.0, -30.0, 46.0, 30.0)}))


def test_a_teacher_with_another_size():
    with pytest.raises(ConfigError, match='bev_size'):
        check(detector(**GRID), lidar=detector(**{**GRID, 'bev_size': (188, 140)}))


def test_an_assistant_with_other_bins():
    with pytest.raises(ConfigError, match='depth_bins of the student is 40, that of assistant 80'):
        check(detector(**GRID, **BINS), assistant=detector(**GRID, **{**BINS, 'depth_bins': 80}))


def test_a_student_that_says_nothing():
    with pytest.raises(ConfigError, match=r'no bev_layout\(\)'):
        check(object(), lidar=detector(**GRID))


def test_a_plain_detector_is_not_checked():
    asked = []
    BEVGridCheckHook().before_train(SimpleNamespace(model=SimpleNamespace(bev_layout=lambda: asked.append('layout'))))
    assert asked == []

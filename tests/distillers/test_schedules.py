import pytest

from mono_distill.distillers.schedules import Schedule
from mono_distill.utils.errors import ConfigError


def test_a_linear_ramp_passes_through_its_middle():
    ramp = Schedule(kind='linear', begin=2, until=4, start=0.0, end=1.0)
    assert [ramp.factor(epoch, 0) for epoch in (0, 2, 3, 4, 9)] == [0, 0, 0.5, 1, 1]


def test_a_cosine_starts_and_ends_flat():
    fade = Schedule(kind='cosine', begin=0, until=10, start=1.0, end=0.0)
    assert fade.factor(5, 0) == pytest.approx(0.5)
    assert 1 - fade.factor(0.1, 0) < 0.001


def test_a_constant_stops_at_its_end():
    stop = Schedule(kind='constant', until=3, start=1.0, end=0.0)
    assert (stop.factor(2.99, 0), stop.factor(3, 0)) == (1.0, 0.0)
    assert not stop.is_over(2.99, 0)
    assert stop.is_over(3, 0)


def test_iterations_can_be_counted_instead_of_epochs():
    assert Schedule(until=100, start=0.0, by_epoch=False).factor(epoch=0, iteration=25) == 0.25


def test_a_weight_that_ends_above_zero_is_never_over():
    assert not Schedule(until=1, end=0.1).is_over(5, 0)


def test_impossible_schedules_are_refused():
    with pytest.raises(ConfigError, match='ends at 1, before it begins at 2'):
        Schedule(begin=2, until=1)
    with pytest.raises(ConfigError, match="kind must be one of constant, linear, cosine, not 'exp'"):
        Schedule(kind='exp')

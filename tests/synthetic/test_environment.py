from __future__ import annotations

import numpy as np
import pytest

from mono_distill.synthetic.environment import draw_environment


def drawn(difficulty, count=200):
    return [draw_environment(np.random.default_rng(seed), difficulty) for seed in range(count)]


@pytest.mark.parametrize('difficulty', [0.0, 1.0])
def test_values_are_in_their_ranges(difficulty):
    for environment in drawn(difficulty):
        for name in ('sun', 'sky', 'horizon', 'white_balance'):
            assert min(getattr(environment, name)) >= 0
        assert min(environment.sky) > 0.1
        assert min(environment.white_balance) > 0.8
        assert 0 <= environment.cloudiness <= 1
        assert 0 <= environment.wetness <= 1
        assert environment.visibility >= 100
        assert environment.exposure > 0.3
        assert environment.noise >= 1


@pytest.mark.parametrize('difficulty', [0.0, 1.0])
def test_sun_is_a_unit_vector_well_above_the_horizon(difficulty):
    directions = np.array([environment.sun_direction for environment in drawn(difficulty)])
    assert np.linalg.norm(directions, axis=1) == pytest.approx(1)
    assert directions[:, 2].min() > np.sin(np.deg2rad(17))


def test_sun_comes_from_all_sides():
    directions = np.array([environment.sun_direction for environment in drawn(0.5)])
    assert np.abs(directions[:, :2].mean(axis=0)).max() < 0.1


def test_some_skies_are_sunny_and_some_overcast():
    dark = np.mean([max(environment.sun) == 0 for environment in drawn(0.5)])
    assert 0.25 < dark < 0.55


def test_difficulty_lowers_the_sun_thickens_haze_and_adds_noise():
    easy, hard = drawn(0.0), drawn(1.0)
    for worse in (
        lambda environment: -environment.sun_direction[2],
        lambda environment: environment.noise,
        lambda environment: environment.visibility < 300,
        lambda environment: abs(np.log(environment.exposure / (1.5 if max(environment.sun) > 0 else 2.2))),
    ):
        assert np.mean([worse(environment) for environment in hard]) > np.mean(
            [worse(environment) for environment in easy]
        )


def test_equal_draws_give_equal_light():
    assert draw_environment(np.random.default_rng(3), 0.5) == draw_environment(np.random.default_rng(3), 0.5)

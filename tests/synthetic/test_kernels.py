from __future__ import annotations

import numpy as np
import pytest

from mono_distill.synthetic.kernels import albedo, band, grain, hash2, road_marks, sky_color, value_noise
from mono_distill.synthetic.materials import Material, Pattern, material_table

# Lanes of 3.5 m, dashes of 3 m in 9, marks of 14 cm, marked edges, a dashed centre line.
TWO_WAY = np.array([3.5, 1, 1, 3, 9, 0.07, 1, 0, 5], dtype=np.float32)
TWO_LANES_AHEAD = np.array([3.5, 2, 1, 3, 9, 0.07, 1, 0, 5], dtype=np.float32)
ONE_WAY = np.array([3.5, 2, 0, 3, 9, 0.07, 1, 0, 5], dtype=np.float32)
FINE = 0.01
# A dash lies in the middle of each period.
DASH, GAP = 4.5, 0.0


def changed(road, **columns):
    road = road.copy()
    for index, value in columns.items():
        road[int(index[1:])] = value
    return road


def seen(material, u, v, footprint=FINE, road=TWO_WAY):
    """Red, green, blue, gloss and emission of a surface point."""
    out = np.zeros(5, dtype=np.float32)
    albedo(material_table([material])[0], u, v, footprint, road, footprint, out)
    return out


def sky(way, **values):
    """Colour of the sky with the sun at 53 degrees in the north."""
    env = np.array([0, 0.6, 0.8, 1, 1, 1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0, 1000, 0, 3], dtype=np.float32)
    for index, value in values.items():
        env[int(index[1:])] = value
    out = np.zeros(3, dtype=np.float32)
    sky_color(*(np.asarray(way) / np.linalg.norm(way)), env, out)
    return out


def test_hash_is_uniform_between_0_and_1():
    values = np.array([hash2(i, j, 7) for i in range(-60, 60) for j in range(-60, 60)])
    assert values.min() >= 0
    assert values.max() < 1
    counts, _ = np.histogram(values, 16, (0, 1))
    # Chi-squared with 15 degrees of freedom.
    assert np.square(counts - 900).sum() / 900 < 40
    grid = values.reshape(120, 120)
    for first, second in ((grid[1:], grid[:-1]), (grid[:, 1:], grid[:, :-1])):
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.04


def test_hash_depends_on_all_three_numbers_and_on_nothing_else():
    assert hash2(3, -4, 5) == hash2(3, -4, 5)
    assert len({hash2(3, -4, 5), hash2(4, -4, 5), hash2(3, -5, 5), hash2(3, -4, 6), hash2(-4, 3, 5)}) == 5


def test_noise_is_continuous_and_between_minus_1_and_1():
    x = np.linspace(-20, 20, 4001)
    values = np.array([value_noise(at, 0.3 * at, 3) for at in x])
    assert np.abs(values).max() <= 1
    assert values.min() < -0.5
    assert values.max() > 0.5
    # Its slope is at most 3 per axis.
    assert np.abs(np.diff(values)).max() < 0.01 * 3 * 1.3


def test_noise_fades_where_a_pixel_covers_more_than_a_grain():
    places = np.random.default_rng(0).uniform(-50, 50, (300, 2))
    spread = [np.std([grain(x, y, 0.5, foot, 1) for x, y in places]) for foot in (0.0, 0.5, 1.4, 1.6)]
    assert spread[0] > spread[1] > spread[2] > spread[3] == 0


@pytest.mark.parametrize(
    ('distance', 'footprint', 'share'),
    [
        (0.0, 0.01, 1.0),
        (0.2, 0.01, 0.0),
        (0.1, 0.1, 0.5),
        # A pixel of 1 m sees a stripe of 20 cm, all of it or none or half.
        (0.0, 1.0, 0.2),
        (0.3, 1.0, 0.2),
        (0.7, 1.0, 0.0),
        (-0.5, 1.0, 0.1),
    ],
)
def test_band_is_the_share_of_a_pixel_that_a_stripe_covers(distance, footprint, share):
    assert band(distance, 0.1, footprint) == pytest.approx(share)


@pytest.mark.parametrize(
    ('u', 'v', 'paint'),
    [
        (DASH, 0.0, 1.0),
        (DASH + 1.4, 0.05, 1.0),
        (DASH + 1.6, 0.0, 0.0),
        (DASH - 9, 0.0, 1.0),
        (GAP, 0.0, 0.0),
        (GAP, 3.5, 1.0),
        (DASH, -3.5, 1.0),
        (GAP, -3.5, 1.0),
        (DASH, 0.1, 0.0),
        (DASH, 1.75, 0.0),
        (DASH, 7.0, 0.0),
    ],
)
def test_centre_is_dashed_and_edges_are_solid(u, v, paint):
    assert road_marks(u, v, TWO_WAY, FINE, FINE) == pytest.approx(paint)


def test_solid_centre_line_and_missing_edges():
    assert road_marks(GAP, 0.0, changed(TWO_WAY, _7=1), FINE, FINE) == pytest.approx(1)
    assert road_marks(GAP, 3.5, changed(TWO_WAY, _6=0), FINE, FINE) == 0


def test_lanes_of_one_direction_are_parted_by_dashes():
    for road in (TWO_LANES_AHEAD, ONE_WAY):
        assert road_marks(DASH, -3.5, road, FINE, FINE) == pytest.approx(1)
        assert road_marks(GAP, -3.5, road, FINE, FINE) == 0
        assert road_marks(GAP, -7.0, road, FINE, FINE) == pytest.approx(1)
    # The left edge of a one-way street is where the others have their centre line.
    assert road_marks(GAP, 0.0, ONE_WAY, FINE, FINE) == pytest.approx(1)


def test_distant_marks_keep_their_mean_brightness():
    assert road_marks(GAP, 0.0, TWO_WAY, 20.0, 0.7) == pytest.approx(0.2 / 3, rel=1e-4)
    assert road_marks(GAP, 3.5, TWO_WAY, 20.0, 0.7) == pytest.approx(0.2, rel=1e-4)


def test_plain_surface_without_contrast_has_its_own_color():
    material = Material((0.1, 0.2, 0.3), contrast=0.0, gloss=0.05, emission=2.0)
    assert seen(material, 3.3, 4.4) == pytest.approx([0.1, 0.2, 0.3, 0.05, 2.0])


def test_stripes_alternate_in_v():
    material = Material((0.1, 0.1, 0.1), Pattern.STRIPES, scale=2.0, contrast=0.0, color2=(0.9, 0.9, 0.9))
    assert [round(float(seen(material, 0.0, v)[0]), 3) for v in (0.5, 1.5, 2.5, -0.5)] == [0.1, 0.9, 0.1, 0.9]


def test_windows_mirror_and_walls_do_not():
    wall = Material((0.5, 0.5, 0.5), Pattern.FACADE, scale=3.0, contrast=0.0, color2=(0.03, 0.03, 0.03))
    # The middle of a window is its bar; a quarter of a window beside it is glass.
    window, between = seen(wall, 1.5 + 0.3, 0.52 * 3.15 - 0.3), seen(wall, 0.1, 0.1)
    assert window[3] > 0.1 > between[3]
    assert window[0] < 0.2 < between[0]


@pytest.mark.parametrize('pattern', list(Pattern))
def test_textures_are_positive_deterministic_and_nearly_even_from_far_away(pattern):
    material = Material((0.3, 0.3, 0.3), pattern, scale=0.5, contrast=0.3, color2=(0.2, 0.2, 0.2))
    places = np.random.default_rng(0).uniform(-30, 30, (200, 2))
    near, far = (np.array([seen(material, u, v, foot)[0] for u, v in places]) for foot in (0.005, 20.0))
    assert near.min() > 0
    assert np.array_equal(near, [seen(material, u, v, 0.005)[0] for u, v in places])
    assert near.mean() == pytest.approx(0.29, abs=0.09)
    if pattern != Pattern.STRIPES:
        assert far.std() <= near.std() + 1e-6
        assert far.std() < 0.06


def test_sky_goes_from_the_color_of_the_horizon_to_that_above():
    assert sky((-1, 0, 0)) == pytest.approx([0.6, 0.7, 0.8], abs=0.01)
    assert sky((0.1, -0.3, 1)) == pytest.approx([0.2, 0.3, 0.5], abs=0.06)


def test_sky_is_brightest_at_the_sun():
    assert sky((0, 0.6, 0.8)).min() > 1.2 > sky((0, -0.6, 0.8)).max()


def test_clouds_cover_about_their_share_of_the_sky():
    ways = np.random.default_rng(0).normal(size=(100, 3))
    ways[:, 2] = np.abs(ways[:, 2]) + 0.2

    def covered(share):
        pairs = (
            (sky(way, _12=0, _15=seed), sky(way, _12=share, _15=seed)) for way in ways for seed in range(0, 60, 10)
        )
        return np.mean([np.abs(clear - cloudy).max() > 0.01 for clear, cloudy in pairs])

    assert covered(0.0) == 0
    assert covered(0.5) == pytest.approx(0.5, abs=0.15)
    assert covered(0.2) < 0.25
    assert covered(0.95) > 0.9

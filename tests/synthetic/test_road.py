from __future__ import annotations

import numpy as np
import pytest

from mono_distill.synthetic.ground import draw_road
from mono_distill.synthetic.road import Road

ROAD = Road(
    bend=((0.12, 150.0, 0.4), (-0.07, 300.0, 2.0)),
    hill=((0.03, 200.0, 1.0), (0.02, 330.0, 5.0)),
    lane_width=3.5,
    lanes=(2, 1),
    kerb=0.12,
)
S = np.linspace(-150, 500, 131)


def derivative(function, s, step=2.0):
    return (function(s + step) - function(s - step)) / (2 * step)


def test_road_begins_at_the_origin_along_x():
    assert ROAD.points(0.0, 0.0) == pytest.approx(np.zeros(3), abs=1e-9)
    assert ROAD.direction(0.0) == 0
    assert ROAD.pose(0.0, 0.0, 0.0)[1, 0] == 0


def test_direction_is_that_of_the_centre_line():
    step = derivative(lambda s: ROAD.points(s, 0.0), S)
    assert np.arctan2(step[:, 1], step[:, 0]) == pytest.approx(ROAD.direction(S), abs=1e-3)


def test_distance_is_measured_along_the_centre_line():
    step = derivative(lambda s: ROAD.points(s, 0.0), S)
    assert np.linalg.norm(step[:, :2], axis=1) == pytest.approx(1, abs=1e-3)


def test_height_is_the_integral_of_the_slope():
    assert ROAD.height(0.0) == pytest.approx(0)
    assert derivative(ROAD.height, S, 0.01) == pytest.approx(ROAD.grade(S), abs=1e-7)
    assert ROAD.points(S, 0.0)[:, 2] == pytest.approx(ROAD.height(S), abs=1e-4)


@pytest.mark.parametrize('offset', [-6.0, 2.5])
def test_points_lie_at_their_offset_and_to_its_side(offset):
    away = ROAD.points(S, offset) - ROAD.points(S, 0.0)
    along = derivative(lambda s: ROAD.points(s, 0.0), S)
    assert np.linalg.norm(away, axis=1) == pytest.approx(abs(offset))
    left = along[:, 0] * away[:, 1] - along[:, 1] * away[:, 0]
    assert left == pytest.approx(offset, abs=0.01)


def test_height_of_points_is_added_to_that_of_the_road():
    assert (ROAD.points(S, 3.0, 1.5) - ROAD.points(S, 3.0)) == pytest.approx(np.tile([0, 0, 1.5], (len(S), 1)))


@pytest.mark.parametrize('heading', [0.0, 0.8, np.pi])
def test_pose_is_a_rotation_that_stands_on_the_slope(heading):
    for s in (-40.0, 0.0, 77.0, 333.0):
        pose = ROAD.pose(s, 1.0, heading)
        turn = pose[:3, :3]
        assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)
        along = derivative(lambda s: ROAD.points(s, 0.0), s, 0.5)
        along /= np.linalg.norm(along)
        assert turn[:, 2] @ along == pytest.approx(0, abs=2e-3)
        assert turn[:, 0] @ along == pytest.approx(np.cos(heading), abs=2e-3)


def test_kerb_is_stepped_on_beyond_the_lanes_and_a_parking_strip():
    right, left = ROAD.half_widths
    assert (right, left) == pytest.approx((2 * 3.5 + 2.4, 3.5 + 2.4))
    assert [ROAD.surface_height(offset) for offset in (-right - 0.1, -right + 0.1, left - 0.1, left + 0.1)] == [
        0.12,
        0,
        0,
        0.12,
    ]
    assert ROAD.pose(10.0, left + 1, 0.0)[2, 3] == pytest.approx(ROAD.height(10.0) + 0.12, abs=1e-4)


def test_steepest_slopes_are_a_few_degrees():
    steepest = [np.abs(draw_road(np.random.default_rng(seed), 1.0).grade(S)).max() for seed in range(40)]
    assert 1.0 < np.rad2deg(np.arctan(np.median(steepest))) < 4.0
    assert np.rad2deg(np.arctan(max(steepest))) < 9.0


def test_table_reaches_beyond_every_place_of_the_longest_scene():
    # Oncoming cars at 16 m/s drive for a minute and two seconds; those that the ego car meets last start far ahead.
    low, high = Road.RANGE
    assert low <= -110 - 62 * 16.2
    assert high >= 720 + 150 + 60 * (12 + 16.2) + 30

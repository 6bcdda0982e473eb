"""Line charts as SVG."""

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from mono_distill.apis.demo.chart import Line, line_chart, linear_ticks, log_ticks
from mono_distill.apis.demo.curves import Curve


def points(chart, style=0):
    path = re.search(rf'class="line line-{style}" points="([^"]+)"', chart).group(1)
    return [tuple(map(float, pair.split(','))) for pair in path.split()]


def test_a_falling_curve_goes_right_and_down():
    found = points(line_chart('Loss', [Line('a', Curve([10, 20, 30], [50.0, 20.0, 5.0]), 0)]))
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    assert [y for _, y in found] == sorted(y for _, y in found)


def test_the_value_axis_is_logarithmic():
    (_, a), (_, b), (_, c) = points(line_chart('Loss', [Line('a', Curve([1, 2, 3], [100.0, 10.0, 1.0]), 0)]))
    assert math.isclose(b - a, c - b, abs_tol=0.2)


def test_values_without_a_logarithm_are_left_out():
    chart = line_chart('Loss', [Line('a', Curve([1, 2, 3, 4], [2.0, 0.0, math.nan, 1.0]), 0)])
    assert len(points(chart)) == 2


def test_many_points_are_thinned_out_and_the_last_one_stays():
    steps = list(range(1, 5003))
    found = points(line_chart('Loss', [Line('a', Curve(steps, [1.0 + 1 / step for step in steps]), 0)]))
    assert len(found) < 410
    assert found[-1][0] == 468.0


def test_a_flat_curve_can_be_drawn():
    assert points(line_chart('Loss', [Line('a', Curve([1, 2], [3.0, 3.0]), 0)]))


def test_nothing_logged_is_said():
    assert 'nothing was logged' in line_chart('Loss', [Line('a', Curve([], []), 0)])


def test_it_is_well_formed_and_says_what_it_shows():
    chart = line_chart('A & B', [Line('<a>', Curve([10, 30], [50.0, 5.0]), 0), Line('b', Curve([10], [7.0]), 1)])
    root = ElementTree.fromstring(chart)
    assert root.find('svg').get('aria-label') == 'A & B: <a> from 50 to 5; b from 7 to 7'
    assert [item.text or item[0].tail for item in root.iter('li')] == ['<a>', 'b']


@pytest.mark.parametrize(('low', 'high'), [(3.1, 3.6), (0.02, 0.021), (1.9, 5.1), (0.5, 2000), (5e-4, 4e4)])
def test_a_value_axis_has_some_ticks_in_its_range(low, high):
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 12
    assert all(low <= tick <= high for tick in ticks)


@pytest.mark.parametrize('last', [1, 7, 124, 2034, 100_000])
def test_a_step_axis_has_some_ticks_in_its_range(last):
    ticks = linear_ticks(last)
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= 7
    assert ticks[-1] <= last

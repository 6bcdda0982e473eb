from __future__ import annotations

import numpy as np
import pytest

from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import pose_matrix
from mono_distill.synthetic.nuscenes.annotations import (
    annotate,
    attribute,
    global_box,
    visibility_level,
    visible_shares,
)
from mono_distill.synthetic.road import Road
from mono_distill.synthetic.scene import GROUND_CLEARANCE, Actor, Environment, Scene, Track
from mono_distill.synthetic.shapes import box
from mono_distill.synthetic.visibility import ActorView

SIZE = (4.0, 2.0, 1.5)
MESH = box((0, 0, 0), SIZE, Material((0.5, 0.5, 0.5)))
SKY = Environment((0, 0, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), 0.0, 1000.0, 0.0, 1.0, 0.0, (1, 1, 1), 0)


def actor(s: float = 20.0, offset: float = -1.75, speed: float = 0.0, *, category='vehicle.car', kind='sedan') -> Actor:
    return Actor(f'{category}{s}', category, kind, SIZE, MESH, Track(s, offset, speed, 0.0))


def scene(*actors: Actor) -> Scene:
    road = Road(((0.0, 100.0, 0.0),), ((0.0, 100.0, 0.0),), 3.5, (1, 1), 0.1)
    return Scene(0, 0, road, Track(0.0, -1.75, 5.0, 0.0), MESH, actors, SKY, 1.5, 0.0, 0.0)


def view(index: int, visible: float, pixels: float) -> ActorView:
    return ActorView(index, np.zeros(4), np.zeros(4), 0.0, visible, pixels)


def test_a_box_has_nuscenes_order_of_sizes_and_clears_the_ground():
    found = global_box(actor(), pose_matrix(5, 6, 1, 0.3))
    assert found.size == (2.0, 4.0, 1.5 - GROUND_CLEARANCE)
    assert found.yaw == pytest.approx(0.3)
    np.testing.assert_allclose(found.center, [5, 6, 1 + (1.5 + GROUND_CLEARANCE) / 2])


def test_a_box_does_not_lean():
    found = global_box(actor(), pose_matrix(0, 0, 0, 0.3, pitch=0.1))
    assert found.yaw == pytest.approx(0.3)


def test_points_are_counted_in_the_turned_box():
    found = global_box(actor(), pose_matrix(0, 0, 0, np.pi / 2))
    points = np.array([[0, 1.9, 1], [1.9, 0, 1], [0, 0, GROUND_CLEARANCE / 2], [0.9, -1.9, 1.49]])
    assert found.contains(points).tolist() == [True, False, False, True]


def test_the_devkit_counts_the_same_points():
    from nuscenes.utils.data_classes import Box
    from nuscenes.utils.geometry_utils import points_in_box
    from pyquaternion import Quaternion

    found = global_box(actor(), pose_matrix(1, 2, 0, 0.7))
    theirs = Box(list(found.center), list(found.size), Quaternion(axis=[0, 0, 1], radians=found.yaw))
    points = np.random.default_rng(0).uniform(-4, 5, (2000, 3))
    inside = found.contains(points)
    assert 20 < inside.sum() < 500
    np.testing.assert_array_equal(inside, points_in_box(theirs, points.T))


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (actor(speed=3.0), 'vehicle.moving'),
        (actor(speed=-3.0), 'vehicle.moving'),
        (actor(), 'vehicle.stopped'),
        (actor(offset=-5.0), 'vehicle.parked'),
        (actor(offset=5.0, category='vehicle.trailer'), 'vehicle.parked'),
        (actor(speed=3.0, category='vehicle.bicycle', kind='rider'), 'cycle.with_rider'),
        (actor(category='vehicle.motorcycle', kind='parked'), 'cycle.without_rider'),
        (actor(speed=1.0, category='human.pedestrian.adult'), 'pedestrian.moving'),
        (actor(category='human.pedestrian.adult'), 'pedestrian.standing'),
        (actor(category='movable_object.barrier'), None),
        (actor(category='movable_object.trafficcone'), None),
    ],
)
def test_attributes(given, expected):
    assert attribute(scene(given), given) == expected


def test_visibility_is_the_share_of_the_pixels_of_all_cameras():
    shares = visible_shares([view(0, 1.0, 100), view(0, 0.0, 300), view(1, 0.5, 10), view(2, 0.0, 0)])
    assert shares == {0: 0.25, 1: 0.5}


@pytest.mark.parametrize(('share', 'level'), [(0.0, '1'), (0.39, '1'), (0.4, '2'), (0.6, '3'), (0.8, '4'), (1.0, '4')])
def test_visibility_levels(share, level):
    assert visibility_level(share) == level


def test_what_no_sensor_saw_is_not_annotated():
    given = scene(actor(10), actor(20), actor(30), actor(90))
    in_second = np.array([[20, -1.75, 0.7]])
    rows = annotate(given, 0.0, np.eye(4), in_second, {2: 0.7, 3: 1.0})
    assert [(row['actor'], row['num_lidar_pts'], row['visibility']) for row in rows] == [
        ('vehicle.car20', 1, '1'),
        ('vehicle.car30', 0, '3'),
    ]


def test_boxes_are_where_the_actors_are_at_that_time():
    rows = annotate(scene(actor(10, speed=2.0)), 3.0, pose_matrix(100, 0, 0, 0), np.zeros((0, 3)), {0: 1.0})
    np.testing.assert_allclose(rows[0]['translation'][:2], [116, -1.75], atol=1e-6)

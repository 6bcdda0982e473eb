from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from small_scene import block

from mono_distill.synthetic.scene import CATEGORIES, Track
from mono_distill.synthetic.traffic import EGO_AXLE, EGO_SIZE, taken_ground
from mono_distill.synthetic.world import WorldStyle, build_scene


def footprint(pose, size, shift=0.0):
    """Corners (4, 2) of a body seen from above."""
    length, width = size[0] / 2, size[1] / 2
    corners = np.array([[length, width], [-length, width], [-length, -width], [length, -width]]) + [shift, 0]
    return corners @ pose[:2, :2].T + pose[:2, 3]


def overlap(first, second):
    """Whether two convex quadrangles overlap by more than a centimetre: no edge of either separates them."""
    for corners in (first, second):
        edges = np.roll(corners, -1, axis=0) - corners
        normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1) / np.linalg.norm(edges, axis=1, keepdims=True)
        one, other = first @ normals.T, second @ normals.T
        depth = np.minimum(one.max(axis=0), other.max(axis=0)) - np.maximum(one.min(axis=0), other.min(axis=0))
        if depth.min() < 0.01:
            return False
    return True


def overlapping(scene, time):
    bodies = [footprint(scene.actor_pose(actor, time), actor.size) for actor in scene.actors]
    bodies.append(footprint(scene.ego_pose(time), EGO_SIZE, EGO_AXLE))
    names = [*(actor.name for actor in scene.actors), 'ego']
    middles = np.array([body.mean(axis=0) for body in bodies])
    reach = np.array([np.linalg.norm(body[0] - body[2]) / 2 for body in bodies])
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=2) - reach[:, None] - reach[None]
    near = (pair for pair in combinations(range(len(bodies)), 2) if apart[pair] < 0)
    return [(names[a], names[b]) for a, b in near if overlap(bodies[a], bodies[b])]


def test_bodies_that_overlap_are_found():
    square = np.array([[1.0, 1], [-1, 1], [-1, -1], [1, -1]])
    assert overlap(square, square + [1.9, 0])
    assert not overlap(square, square + [2.1, 0])
    turned = square @ np.array([[0.7071, -0.7071], [0.7071, 0.7071]])
    assert overlap(square, turned + [2.3, 0])
    # Their bounding boxes overlap.
    assert not overlap(square, turned + [2.0, 2.0])


@pytest.mark.parametrize('time', [0.0, 2.5, 5.0, 7.3, 10.0])
def test_nobody_overlaps_another_or_the_ego_car_at_any_time(worlds, time):
    for scene in worlds:
        assert overlapping(scene, time) == []


def test_nobody_overlaps_another_at_the_end_of_a_long_scene():
    scene = build_scene(5, 0, WorldStyle(duration=40.0))
    assert overlapping(scene, 40.0) == []


def test_all_ten_categories_are_near_all_along_the_way(full_worlds):
    for scene in full_worlds:
        for time in np.arange(0, 10.1, 1.0):
            here = scene.ego_pose(time)[:3, 3]
            near = {
                actor.category
                for actor in scene.actors
                if np.linalg.norm(scene.actor_pose(actor, time)[:3, 3] - here) < 50
            }
            assert near == set(CATEGORIES)


def test_vehicles_of_a_lane_share_its_speed(worlds):
    for scene in worlds:
        speeds = {}
        for actor in scene.actors:
            lane = actor.track.offset / scene.road.lane_width - 0.5
            in_lane = abs(lane - round(lane)) < 0.25 and actor.kind != 'rider'
            if in_lane and actor.track.speed != 0 and not actor.category.startswith('human'):
                speeds.setdefault(round(lane), set()).add(actor.track.speed)
        assert speeds
        assert all(len(values) == 1 for values in speeds.values())


def test_moving_bodies_look_where_they_go_and_keep_to_the_right(worlds):
    for scene in worlds:
        for actor in scene.actors:
            track = actor.track
            if track.speed != 0:
                assert np.cos(track.heading) * np.sign(track.speed) > 0.9
                if actor.category.startswith('vehicle'):
                    assert np.sign(track.offset) == -np.sign(track.speed)


def test_names_are_unique_and_bodies_fill_their_boxes(worlds):
    for scene in worlds:
        assert len({actor.name for actor in scene.actors}) == len(scene.actors) > 10
        for actor in scene.actors:
            assert actor.category in CATEGORIES
            low, high = actor.mesh.bounds
            assert high - low == pytest.approx(actor.size, abs=1e-3)
            assert low[2] == pytest.approx(0, abs=1e-4)


def test_size_of_a_car_says_nothing_about_its_distance(worlds):
    sizes, distances = [], []
    for scene in worlds:
        for actor in scene.actors:
            if actor.category == 'vehicle.car':
                sizes.append(actor.size)
                distances.append(np.linalg.norm(scene.actor_pose(actor, 0.0)[:2, 3] - scene.ego_pose(0.0)[:2, 3]))
    assert len(sizes) > 300
    for dimension in np.transpose(sizes):
        # Three standard errors of the correlation of independent draws.
        assert abs(np.corrcoef(dimension, distances)[0, 1]) < 3 / np.sqrt(len(sizes))


def test_taken_ground_is_the_extent_of_the_resting_and_the_sweep_of_the_moving():
    parked = block(10.0, 8.0, size=(4.0, 2.0, 1.5), heading=np.pi / 2)
    walking = block(0.0, -7.0, size=(0.8, 0.6, 1.8))
    object.__setattr__(walking, 'track', Track(0.0, -7.0, -1.5, np.pi))
    rows = taken_ground((parked, walking), 10.0)
    assert rows == pytest.approx(np.array([[9, 11, 6, 10, 1.5], [-15.4, 0.4, -7.3, -6.7, 1.8]]))
    assert taken_ground((), 10.0).shape == (0, 5)

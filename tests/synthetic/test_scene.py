from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from small_scene import FLAT, block, small_scene

from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.road import Road
from mono_distill.synthetic.scene import Track

CURVED = Road(bend=((0.1, 200.0, 0.3),), hill=((0.02, 200.0, 0.0),), lane_width=3.5, lanes=(1, 1), kerb=0.1)


def moving(speed, heading=0.0, offset=-1.75):
    return replace(block(10.0), track=Track(10.0, offset, speed, heading))


def test_actors_move_along_the_road_at_their_speed():
    scene = small_scene(moving(8.0), moving(-5.0, np.pi))
    ahead, back = scene.actors
    assert scene.actor_pose(ahead, 2.0)[:3, 3] == pytest.approx([26, -1.75, 0])
    assert scene.actor_pose(back, 2.0)[:3, 3] == pytest.approx([0, -1.75, 0], abs=1e-9)
    assert scene.actor_pose(back, 0.0)[:2, 0] == pytest.approx([-1, 0], abs=1e-9)


def test_velocity_is_the_derivative_of_the_position():
    scene = replace(small_scene(moving(8.0)), road=CURVED)
    (actor,) = scene.actors
    step = scene.actor_pose(actor, 3.5)[:3, 3] - scene.actor_pose(actor, 2.5)[:3, 3]
    assert scene.actor_velocity(actor, 3.0) == pytest.approx(step, abs=0.02)
    assert scene.actor_velocity(moving(0.0), 3.0).tolist() == [0, 0, 0]


def test_ego_car_moves_as_its_track_says():
    scene = replace(small_scene(), ego=Track(1.0, -1.75, 10.0, 0.0))
    assert scene.ego_pose(0.5)[:3, 3] == pytest.approx([6, -1.75, 0])
    assert scene.ego_pose(0.5)[:3, :3] == pytest.approx(np.eye(3))


def test_bodies_beyond_the_kerb_stand_on_the_pavement():
    right, _ = FLAT.half_widths
    scene = small_scene(moving(1.0, offset=-right - 1))
    assert scene.actor_pose(scene.actors[0], 0.0)[2, 3] == pytest.approx(FLAT.kerb)


def test_changed_scene_forgets_what_was_derived_from_the_old_one():
    scene = small_scene(block(10.0))
    RayCaster(scene, 0.0, center=(0, 0, 0))
    empty = RayCaster(replace(scene, actors=()), 0.0, center=(0, 0, 0))
    assert np.isinf(empty.cast((0, 0, 1), np.array([[1.0, 0, 0]])).distance[0])


def test_scene_can_be_sent_to_another_process_after_rays_were_cast():
    scene = small_scene(block(10.0))
    RayCaster(scene, 0.0, center=(0, 0, 0))
    copy = pickle.loads(pickle.dumps(scene))
    assert copy.cache == {}
    assert copy.actors[0].track == scene.actors[0].track

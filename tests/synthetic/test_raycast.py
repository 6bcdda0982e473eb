from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_scene import block, small_scene

from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.scene import Track

EYE = np.array([0.0, 0.0, 1.0])
AHEAD = np.array([[1.0, 0.0, 0.0]])


def driving(x, speed, offset=0.0, name='driving'):
    return replace(block(x, name=name), track=Track(x, offset, speed, 0.0))


def rays(count=3000, seed=0):
    ways = np.random.default_rng(seed).normal(size=(count, 3))
    return (ways / np.linalg.norm(ways, axis=1, keepdims=True)).astype(np.float32)


def slab_distance(origin, way, low, high):
    """Distance to an axis-parallel box, infinite if it is missed."""
    with np.errstate(divide='ignore', invalid='ignore'):
        first, second = (low - origin) / way, (high - origin) / way
    enter, leave = np.minimum(first, second).max(axis=1), np.maximum(first, second).min(axis=1)
    return np.where((enter <= leave) & (enter > 0), enter, np.inf)


def cast(scene, origins=EYE, directions=AHEAD, time=0.0, **kwargs):
    caster = RayCaster(scene, time, center=(0, 0, 0), **kwargs)
    return caster, caster.cast(origins, directions)


@pytest.mark.parametrize('distance', [5.0, 40.0, 120.0])
def test_distance_to_a_box_is_exact(distance):
    _, hits = cast(small_scene(block(distance + 2)))
    assert hits.distance[0] == pytest.approx(distance, abs=1e-4)


def test_distances_to_box_and_ground_agree_with_geometry_in_all_directions():
    ways = rays()
    caster, hits = cast(small_scene(block(8.0, 3.0)), directions=ways)
    ways = ways.astype(np.float64)
    box_at = slab_distance(EYE, ways, np.array([6.0, 2.1, 0]), np.array([10.0, 3.9, 1.5]))
    with np.errstate(divide='ignore'):
        ground_at = np.where(ways[:, 2] < 0, -1 / ways[:, 2], np.inf)
    ground = EYE + ways * np.where(np.isfinite(ground_at), ground_at, 0)[:, None]
    on_ground = (ground[:, 0] > -50) & (ground[:, 0] < 200) & (np.abs(ground[:, 1]) < 50)
    expected = np.minimum(box_at, np.where(on_ground, ground_at, np.inf))
    close = expected < 40
    assert close.sum() > 1000
    assert hits.distance[close] == pytest.approx(expected[close], abs=1e-4)
    assert np.array_equal(np.isinf(hits.distance), np.isinf(expected))
    assert np.array_equal(caster.actor_of(hits.triangle) == 0, box_at < np.where(on_ground, ground_at, np.inf))


def test_misses_are_infinite_and_belong_to_nobody():
    caster, hits = cast(small_scene(block(10.0)), directions=np.array([[0.0, 0, 1], [-0.6, 0, 0.8]]))
    assert np.isinf(hits.distance).all()
    assert hits.triangle.tolist() == [-1, -1]
    assert caster.actor_of(hits.triangle).tolist() == [-1, -1]


def test_parked_and_moving_actors_are_told_from_the_ground():
    scene = small_scene(driving(5.0, 10.0), block(20.0, 4.0), driving(40.0, -3.0, -4.0, name='oncoming'))
    caster = RayCaster(scene, 1.0, center=(0, 0, 0))
    above = np.array([[15.0, 0, 5], [20, 4, 5], [37, -4, 5], [5, 0, 5], [0, 10, 5]])
    hits = caster.cast(above, np.tile([0.0, 0, -1], (5, 1)))
    assert caster.actor_of(hits.triangle).tolist() == [0, 1, 2, -1, -1]
    assert hits.distance == pytest.approx([3.5, 3.5, 3.5, 5, 5], abs=1e-5)
    assert caster.present == [0, 1, 2]


def test_nearer_of_a_parked_and_a_moving_actor_is_hit():
    for scene in (small_scene(driving(10.0, 1.0), block(20.0)), small_scene(driving(20.0, 1.0), block(10.0))):
        caster, hits = cast(scene)
        assert hits.distance[0] == pytest.approx(8, abs=1e-5)
        assert scene.actors[caster.actor_of(hits.triangle)[0]].track.s == 10.0


def test_barycentric_weights_find_the_point_that_was_hit():
    scene = small_scene(block(8.0, 1.0, heading=0.4), driving(14.0, 2.0, -3.0))
    ways = rays()
    caster, hits = cast(scene, directions=ways, time=0.5)
    met = hits.triangle >= 0
    weights = np.column_stack([1 - hits.barycentric.sum(axis=1), hits.barycentric])[met]
    points = np.einsum('nk,nkc->nc', weights, caster.triangles.corners[hits.triangle[met]])
    near = hits.distance[met] < 50
    assert points[near] == pytest.approx((EYE + ways[met] * hits.distance[met, None])[near], abs=2e-3)


def test_moving_actors_out_of_reach_are_left_out():
    scene = small_scene(driving(60.0, 1.0), driving(160.0, 1.0, 5.0, name='far'))
    caster, hits = cast(scene, directions=np.array([[1.0, 0, 0], [160 / 160.08, 5 / 160.08, 0]]), radius=100.0)
    assert caster.present == [0]
    assert caster.actor_of(hits.triangle).tolist() == [0, -1]


def test_body_is_in_world_coordinates_at_the_moment():
    scene = small_scene(driving(5.0, 10.0))
    low, high = RayCaster(scene, 1.0, center=(0, 0, 0)).body(0).bounds
    assert low == pytest.approx([13, -0.9, 0], abs=1e-5)
    assert high == pytest.approx([17, 0.9, 1.5], abs=1e-5)


def test_two_moments_of_a_scene_do_not_disturb_each_other():
    scene = small_scene(driving(5.0, 10.0), block(60.0))
    early, late = (RayCaster(scene, time, center=(0, 0, 0)) for time in (0.0, 2.0))
    assert [caster.cast(EYE, AHEAD).distance[0] for caster in (early, late, early)] == pytest.approx([3, 23, 3])


def test_blocked_says_what_cast_says():
    caster, hits = cast(small_scene(block(8.0, 3.0), driving(12.0, 3.0, -4.0)), directions=rays())
    assert np.array_equal(caster.blocked(EYE, rays()), hits.triangle >= 0)
    assert 0.2 < np.mean(hits.triangle >= 0) < 0.8


def test_one_origin_for_all_rays_equals_the_same_origin_for_each():
    caster, hits = cast(small_scene(block(8.0, 3.0)), directions=rays())
    repeated = caster.cast(np.tile(EYE, (3000, 1)), rays())
    for name in ('distance', 'triangle', 'barycentric'):
        assert np.array_equal(getattr(hits, name), getattr(repeated, name))


def test_no_rays_give_no_hits():
    caster, hits = cast(small_scene(block(8.0)), directions=np.zeros((0, 3)))
    assert hits.distance.shape == (0,)
    assert hits.barycentric.shape == (0, 2)
    assert caster.blocked(EYE, np.zeros((0, 3))).shape == (0,)


def test_materials_of_hits_are_those_of_the_bodies(full_worlds):
    scene = full_worlds[0]
    caster = RayCaster(scene, 0.0, center=scene.ego_pose(0.0)[:3, 3])
    hits = caster.cast(scene.ego_pose(0.0)[:3, 3] + [0, 0, 1.6], rays())
    owner = caster.actor_of(hits.triangle)
    assert len(set(owner.tolist())) > 5
    for triangle, actor in zip(hits.triangle[owner >= 0], owner[owner >= 0], strict=True):
        color = caster.triangles.table[caster.triangles.material[triangle], :3]
        known = [material.color for material in scene.actors[actor].mesh.materials]
        assert np.abs(np.array(known) - color).sum(axis=1).min() < 1e-6

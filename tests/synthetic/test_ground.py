from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_scene import small_scene

from mono_distill.synthetic.ground import FLAT_VERGE, build_ground, draw_road
from mono_distill.synthetic.raycast import RayCaster

S_RANGE = (-90.0, 250.0)
# Crossings and the mouths of side roads are painted above the ground, metres.
PAINT = 0.016


@pytest.fixture(scope='module', params=range(4))
def ground(request):
    """A road and rays onto nothing but its ground."""
    road = draw_road(np.random.default_rng(request.param), 1.0)
    mesh = build_ground(road, S_RANGE, np.random.default_rng(request.param))
    scene = replace(small_scene(road=road), background=mesh)
    return road, RayCaster(scene, 0.0, center=(0, 0, 0))


def test_ground_is_where_bodies_stand_without_holes(ground):
    road, caster = ground
    rng = np.random.default_rng(0)
    s = rng.uniform(S_RANGE[0] + 1, S_RANGE[1] - 1, 4000)
    offset = rng.uniform(-road.half_widths[0] - FLAT_VERGE, road.half_widths[1] + FLAT_VERGE, 4000)
    stands = np.array([road.pose(*where, 0.0)[:3, 3] for where in zip(s, offset, strict=True)])
    kerb = [min(abs(o + road.half_widths[0]), abs(o - road.half_widths[1])) < 0.01 for o in offset]
    above = 50 - caster.cast(stands + [0, 0, 50], np.tile([0.0, 0, -1], (len(s), 1))).distance
    above = above[np.logical_not(kerb)]
    assert above.min() > -0.01
    assert above.max() < PAINT + 0.005


def test_kerbs_rise_from_the_road_and_look_at_it(ground):
    road, caster = ground
    s = np.linspace(-80, 240, 50)
    for side, half in zip((-1, 1), road.half_widths, strict=True):
        start = road.points(s, side * (half - 0.5), road.kerb / 2)
        angle = road.direction(s)
        way = side * np.stack([-np.sin(angle), np.cos(angle), 0 * s], axis=1)
        hits = caster.cast(start, way)
        assert hits.distance == pytest.approx(np.full(50, 0.5), abs=0.02)
        normals = caster.triangles.normals[hits.triangle].mean(axis=1)
        assert np.einsum('ij,ij->i', normals, way).max() < -0.99


def test_ground_looks_up(ground):
    _, caster = ground
    corners = caster.triangles.corners.astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    # Far verges on the inner side of a bend lie behind the centre of its circle.
    near = np.abs(caster.triangles.uv[:, :, 1]).max(axis=1) < 40
    flat = np.abs(normals[:, 2]) > 0.5
    assert normals[near & flat, 2].min() > 0.9
    # The rest are the risers of the kerbs, which are upright.
    assert np.abs(normals[near & ~flat, 2]).max() < 1e-3


def test_road_carries_its_own_coordinates_for_the_lane_marks(ground):
    road, caster = ground
    s = np.array([0.0, 33.0, 120.0])
    hits = caster.cast(road.points(s, 1.3, 5.0), np.tile([0.0, 0, -1], (3, 1)))
    weights = np.column_stack([1 - hits.barycentric.sum(axis=1), hits.barycentric])
    uv = np.einsum('nk,nkc->nc', weights, caster.triangles.uv[hits.triangle])
    assert uv == pytest.approx(np.column_stack([s, np.full(3, 1.3)]), abs=0.02)


def test_equal_draws_give_equal_ground():
    road = draw_road(np.random.default_rng(1), 0.5)
    first, second = (build_ground(road, S_RANGE, np.random.default_rng(2)) for _ in range(2))
    assert draw_road(np.random.default_rng(1), 0.5) == road
    assert first.vertices.tobytes() == second.vertices.tobytes()
    assert first.materials == second.materials


def test_roads_have_one_or_two_lanes_each_way_and_some_are_one_way():
    lanes = {draw_road(np.random.default_rng(seed), 0.5).lanes for seed in range(60)}
    assert lanes == {(1, 1), (2, 2), (2, 1), (2, 0)}


def test_hills_grow_with_difficulty():
    def steep(difficulty):
        roads = (draw_road(np.random.default_rng(seed), difficulty) for seed in range(40))
        return np.mean([np.abs(road.grade(np.arange(300.0))).max() for road in roads])

    assert steep(1.0) > 2 * steep(0.0)

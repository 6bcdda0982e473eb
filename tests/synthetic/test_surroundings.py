from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_scene import FLAT

from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.surroundings import POST_OFFSET, build_surroundings

S_RANGE = (-90.0, 210.0)
LAMP = Material((0.5, 0.5, 0.5))
EDGE = FLAT.half_widths[1]


def built(seed, **kwargs):
    return build_surroundings(FLAT, S_RANGE, np.random.default_rng(seed), **kwargs)


def lamps(mesh):
    """Middles (N, 3) of the heads of lamp posts, which are boxes of twelve triangles."""
    if LAMP not in mesh.materials:
        return np.zeros((0, 3))
    faces = mesh.faces[mesh.material == mesh.materials.index(LAMP)].reshape(-1, 36)
    corners = mesh.vertices[faces]
    return (corners.min(axis=1) + corners.max(axis=1)) / 2


def test_lamp_posts_of_a_side_are_evenly_spaced_and_equally_high():
    rows = 0
    for seed in range(4):
        heads = lamps(built(seed))
        for side in (-1, 1):
            row = heads[np.sign(heads[:, 1]) == side]
            if len(row):
                rows += 1
                gaps = np.diff(np.sort(row[:, 0]))
                assert 20 < gaps.mean() < 40
                assert np.ptp(gaps) < 1e-3
                assert np.ptp(row[:, 2]) < 1e-3
                # The arm reaches over the road.
                assert np.abs(row[:, 1]) == pytest.approx(EDGE + POST_OFFSET - 1.8, abs=0.01)
    assert rows >= 3


def test_nothing_stands_on_the_road():
    for seed in range(4):
        vertices = built(seed).vertices
        low = vertices[(vertices[:, 2] < 0.5) & (vertices[:, 2] > -1)]
        assert np.abs(low[:, 1]).min() > EDGE


def test_both_sides_are_filled_along_the_whole_way():
    vertices = built(1).vertices
    near = vertices[(np.abs(vertices[:, 1]) < 40) & (vertices[:, 2] > 1.0)]
    for side in (-1, 1):
        s = np.sort(near[np.sign(near[:, 1]) == side, 0])
        assert np.diff(s[(s > S_RANGE[0]) & (s < S_RANGE[1])]).max() < 30


def test_nothing_stands_where_annotated_objects_stand_or_pass():
    taken = np.array([[-20.0, 60.0, EDGE + 1.2, EDGE + 9, 3.0], [50.0, 90.0, -EDGE - 12, -EDGE - 6, 2.0]])

    def inside(mesh):
        x, y, z = mesh.vertices.T
        return sum(
            int(((x > first) & (x < last) & (y > low) & (y < high) & (z < height)).sum())
            for first, last, low, high, height in taken
        )

    assert sum(inside(built(seed)) for seed in range(4)) > 100
    assert sum(inside(built(seed, taken=taken)) for seed in range(4)) == 0


def test_skyline_encloses_the_drive_beyond_the_reach_of_the_lidar(kitti_worlds):
    for scene in kitti_worlds[:3]:
        woods = next(material for material in scene.background.materials if material.scale == 2.0)
        number = scene.background.materials.index(woods)
        corners = scene.background.vertices[scene.background.faces[scene.background.material == number]]
        for time in (0.0, 10.0):
            here = scene.ego_pose(time)[:3, 3]
            away = corners.reshape(-1, 3)[:, :2] - here[:2]
            assert np.linalg.norm(away, axis=1).min() > 120
            around = np.sort(np.arctan2(away[:, 1], away[:, 0]))
            assert np.diff(around).max() < 0.2


def test_lane_of_the_ego_car_is_free_along_the_whole_drive(worlds):
    for scene in worlds:
        empty = RayCaster(replace(scene, actors=()), 0.0, center=(0, 0, 0))
        s = np.arange(-2.0, scene.ego.speed * 10 + 8, 2.0)
        for offset in (-1.1, 0.0, 1.1):
            for height in (0.5, 1.0, 2.0, 3.0):
                start, end = (scene.road.points(way, scene.ego.offset + offset, height) for way in (s, s + 2.0))
                length = np.linalg.norm(end - start, axis=1)
                assert np.all(empty.cast(start, (end - start) / length[:, None]).distance > length)


def test_annotated_bodies_are_not_inside_the_background(worlds):
    through, total = 0, 0
    for scene in worlds:
        empty = RayCaster(replace(scene, actors=()), 0.0, center=(0, 0, 0))
        for actor in scene.actors:
            pose, (length, width, height) = scene.actor_pose(actor, 0.0), actor.size
            x, z = np.meshgrid(np.linspace(-0.45, 0.45, 5) * length, np.array([0.3, 0.6, 0.9]) * height)
            points = np.stack([x.ravel(), np.full(x.size, -width / 2), z.ravel()], axis=1)
            start = points @ pose[:3, :3].T + pose[:3, 3]
            hits = empty.cast(start, np.broadcast_to(pose[:3, 1], start.shape))
            through += bool(np.any(hits.distance < width))
            total += 1
    assert total > 500
    assert through / total < 0.005

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_scene import block, small_scene

from mono_distill.synthetic.lidar import HDL32, HDL64, LidarModel, scan
from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import merge, pose_matrix
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.shapes import box, polygon

HEIGHT = 1.73
POSE = pose_matrix(0, 0, HEIGHT, 0.3, 0.01, -0.02)
WHITE = Material((0.8, 0.8, 0.8), contrast=0.0, reflectance=0.9)
BLACK_GLASS = Material((0.02, 0.02, 0.02), contrast=0.0, gloss=0.3, reflectance=0.05)
# Everything that is met returns.
PERFECT = replace(HDL64, range_noise=0.0, sensitivity=1e6, drop_out=0.0)


def scanned(scene, model=HDL64, pose=POSE, seed=0):
    caster = RayCaster(scene, 0.0, center=(0, 0, 0))
    return scan(caster, model, pose, np.random.default_rng(seed))


def wall(material, distance, width=8.0):
    return replace(small_scene(), background=box((distance + 0.5, 0, -50), (1, width, 100), material))


def test_points_lie_on_the_surfaces_that_they_were_returned_by():
    actor = block(15.0, 3.0, heading=0.7)
    seen = scanned(small_scene(actor))
    world = seen.points.astype(np.float64) @ POSE[:3, :3].T + POSE[:3, 3]
    along = (world - POSE[:3, 3]) / np.linalg.norm(world - POSE[:3, 3], axis=1, keepdims=True)
    # Noise moves a point along its ray.
    ground = seen.actor == -1
    noise = world[ground, 2] / np.abs(along[ground, 2])
    assert np.std(noise) == pytest.approx(HDL64.range_noise, rel=0.05)
    assert np.abs(noise).max() < 6 * HDL64.range_noise
    turn = pose_matrix(15.0, 3.0, 0, 0.7)
    inside = np.abs((world[~ground] - turn[:3, 3]) @ turn[:3, :3] - [0, 0, 0.75]) - np.array(actor.size) / 2
    assert (~ground).sum() > 200
    assert np.abs(inside.max(axis=1)).max() < 6 * HDL64.range_noise


@pytest.mark.parametrize('model', [HDL64, HDL32])
def test_rings_are_at_the_elevations_of_the_model(model):
    seen = scanned(small_scene(block(15.0)), model)
    x, y, z = seen.points.astype(np.float64).T
    elevation = np.rad2deg(np.arctan2(z, np.hypot(x, y)))
    assert elevation == pytest.approx(np.array(model.elevations)[seen.ring], abs=2e-3)
    assert len(np.unique(seen.ring)) > 15


@pytest.mark.parametrize('turn', [0.0, 1.2])
def test_columns_go_clockwise_by_equal_steps_from_the_first(turn):
    model = replace(PERFECT, turn=turn)
    seen = scanned(small_scene(), model, pose_matrix(0, 0, HEIGHT, 0))
    step = 2 * np.pi / model.columns
    x, y, _ = seen.points.astype(np.float64).T
    column = (turn - np.arctan2(y, x)) / step
    assert np.abs(column - np.round(column)).max() < 0.01
    column = np.round(column).astype(int) % model.columns
    for ring in np.unique(seen.ring):
        assert np.all(np.diff(column[seen.ring == ring]) > 0)
    assert np.all(np.diff(seen.ring) >= 0)


def test_models_are_those_of_their_data_sets():
    top, bottom = HDL64.elevations[:32], HDL64.elevations[32:]
    assert np.diff(top) == pytest.approx(np.full(31, -1 / 3), abs=1e-3)
    assert np.diff(bottom) == pytest.approx(np.full(31, -0.5))
    assert (HDL64.elevations[0], HDL64.elevations[-1]) == pytest.approx((2.0, -24.33))
    assert len(HDL32.elevations) == 32
    assert (HDL32.elevations[0], HDL32.elevations[-1]) == pytest.approx((-30.67, 10.67))
    assert np.all(np.diff(HDL32.elevations) > 0)


@pytest.mark.parametrize('model', [HDL64, HDL32])
def test_returns_are_within_the_range_of_the_model(model):
    seen = scanned(small_scene(block(0.0, 2.0, size=(4.0, 0.5, 3.0)), block(130.0, size=(4.0, 90.0, 40.0))), model)
    ranges = np.linalg.norm(seen.points, axis=1)
    assert ranges.min() > model.min_range - 0.15
    assert ranges.max() < model.max_range + 0.15


def test_share_of_returns_is_lost_for_no_reason():
    whole, thinned = (scanned(small_scene(), replace(PERFECT, drop_out=share)) for share in (0.0, 0.3))
    assert len(thinned.points) / len(whole.points) == pytest.approx(0.7, abs=0.01)


def test_half_of_the_returns_of_a_white_wall_are_lost_at_the_distance_of_the_sensitivity():
    model = LidarModel((0.0,), 40000, 1.0, 200.0, 0.0, sensitivity=80.0, drop_out=0.0)
    perfect = replace(model, sensitivity=1e6)
    scene = wall(replace(WHITE, reflectance=1.0), 80.0)
    pose = pose_matrix(0, 0, 1.7, 0)
    share = len(scanned(scene, model, pose).points) / len(scanned(scene, perfect, pose).points)
    assert share == pytest.approx(0.5, abs=0.06)


def test_black_glass_returns_less_often_and_less_strongly_than_a_white_wall():
    white, black = scanned(wall(WHITE, 70.0)), scanned(wall(BLACK_GLASS, 70.0))
    assert len(white.points) > 300
    assert len(black.points) < 0.5 * len(white.points)
    near_white, near_black = scanned(wall(WHITE, 10.0)), scanned(wall(BLACK_GLASS, 10.0))
    assert near_white.intensity.mean() > 0.8
    assert near_black.intensity.mean() < 0.1


def test_retro_reflectors_saturate_the_intensity():
    assert np.all(scanned(wall(replace(WHITE, reflectance=2.0), 20.0)).intensity == 1)


def test_oblique_surfaces_return_less_strongly():
    ground = polygon([[-90, -90, 0], [90, -90, 0], [90, 90, 0], [-90, 90, 0]], WHITE)
    seen = scanned(replace(small_scene(), background=ground), PERFECT)
    ranges = np.linalg.norm(seen.points, axis=1)
    assert np.corrcoef(ranges, seen.intensity)[0, 1] < -0.7


def test_actor_of_a_point_is_the_one_in_whose_box_it_lies():
    actors = (block(12.0, 3.0), block(20.0, -3.0))
    seen = scanned(small_scene(*actors), PERFECT, pose_matrix(0, 0, HEIGHT, 0))
    for index, actor in enumerate(actors):
        away = np.abs(seen.points + [0, 0, HEIGHT] - [actor.track.s, actor.track.offset, 0.75])
        inside = np.all(away <= np.array(actor.size) / 2 + 1e-3, axis=1) & (seen.points[:, 2] > -HEIGHT + 0.01)
        assert inside.sum() > 100
        assert set(seen.actor[inside]) == {index}
        assert np.all(away[seen.actor == index] <= np.array(actor.size) / 2 + 1e-3)


def test_scan_does_not_depend_on_the_pose_of_the_world():
    # Scene and scanner are both turned: the same points in the LiDAR's frame.
    parts = [
        box((20, 5, 0), (4, 4, 4), WHITE),
        polygon([[-90, -90, 0], [90, -90, 0], [90, 90, 0], [-90, 90, 0]], WHITE),
    ]
    turn = pose_matrix(100, -50, 3, 0.8, 0.05, 0.02)
    first = scanned(replace(small_scene(), background=merge(parts)), PERFECT)
    turned = merge([part.transformed(turn) for part in parts])
    second = scanned(replace(small_scene(), background=turned), PERFECT, turn @ POSE)
    count = min(len(first.points), len(second.points))
    assert abs(len(first.points) - len(second.points)) < 20
    assert np.median(np.abs(first.points[:1000] - second.points[:1000])) < 1e-3
    assert count > 50000


def test_equal_generators_give_equal_scans():
    scene = small_scene(block(15.0))
    first, second, third = (scanned(scene, seed=seed) for seed in (1, 1, 2))
    for name in ('points', 'intensity', 'ring', 'actor'):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()
    assert first.points.tobytes() != third.points.tobytes()


def test_scan_has_the_types_and_ranges_that_it_promises(kitti_worlds):
    scene = kitti_worlds[0]
    seen = scanned(scene, pose=scene.ego_pose(0.0) @ pose_matrix(0, 0, HEIGHT, 0))
    count = len(seen.points)
    assert (seen.points.dtype, seen.intensity.dtype) == (np.float32, np.float32)
    assert (seen.ring.dtype, seen.actor.dtype) == (np.int32, np.int32)
    assert (len(seen.intensity), len(seen.ring), len(seen.actor)) == (count, count, count)
    assert np.isfinite(seen.points).all()
    assert 0 <= seen.intensity.min() < seen.intensity.max() <= 1
    assert 0.05 < seen.intensity.mean() < 0.5
    assert -1 <= seen.actor.min() < seen.actor.max() < len(scene.actors)


def test_scans_have_as_many_points_as_those_of_kitti(kitti_worlds):
    for scene in kitti_worlds:
        caster = RayCaster(scene, 2.0, center=scene.ego_pose(2.0)[:3, 3])
        pose = scene.ego_pose(2.0) @ pose_matrix(0, 0, HEIGHT, 0)
        assert 90_000 < len(scan(caster, HDL64, pose, np.random.default_rng(0)).points) < 130_000

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_scene import GREY

from mono_distill.synthetic import world
from mono_distill.synthetic.shapes import box
from mono_distill.synthetic.world import WorldStyle, build_scene
from mono_distill.utils.errors import ConfigError


def value(scene):
    """Everything that a scene is, as bytes and plain values."""
    meshes = [scene.background, *(actor.mesh for actor in scene.actors)]
    arrays = [getattr(mesh, name).tobytes() for mesh in meshes for name in ('vertices', 'faces', 'normals', 'uv')]
    actors = [(actor.name, actor.category, actor.kind, actor.size, actor.track) for actor in scene.actors]
    plain = (scene.road, scene.ego, scene.environment, scene.camera_height, scene.camera_pitch, scene.camera_roll)
    return arrays, actors, plain, [mesh.materials for mesh in meshes]


@pytest.fixture
def bare_world(monkeypatch):
    """Scenes without anything that takes long to build."""
    monkeypatch.setattr(world, 'build_ground', lambda *_: box((0, 0, 0), (1, 1, 1), GREY))
    monkeypatch.setattr(world, 'build_surroundings', lambda *_: box((0, 0, 0), (1, 1, 1), GREY))
    monkeypatch.setattr(world, 'draw_traffic', lambda *_: ())


def bare_scenes(difficulty, count=60):
    return [build_scene(3, index, WorldStyle(difficulty)) for index in range(count)]


def test_equal_arguments_give_equal_scenes(kitti_worlds):
    assert value(build_scene(5, 1, WorldStyle(difficulty=0.5))) == value(kitti_worlds[1])


def test_seed_and_index_both_change_the_scene():
    drawn = [build_scene(seed, index, WorldStyle()) for seed, index in ((5, 0), (6, 0), (0, 5))]
    for part in (
        lambda scene: scene.road,
        lambda scene: scene.environment,
        lambda scene: scene.camera_height,
        lambda scene: [actor.track for actor in scene.actors],
        lambda scene: scene.background.vertices.tobytes(),
    ):
        first, second, third = (part(scene) for scene in drawn)
        assert first != second
        assert second != third
        assert first != third


def test_index_of_the_scene_is_not_the_order_of_building(kitti_worlds):
    assert [(scene.seed, scene.index) for scene in kitti_worlds] == [(5, index) for index in range(6)]


@pytest.mark.parametrize(
    ('seed', 'index', 'style'),
    [
        (-1, 0, WorldStyle()),
        (0, -1, WorldStyle()),
        # (2**32, 0) and (0, 1) would be the same entropy.
        (2**32, 0, WorldStyle()),
        (0, 0, WorldStyle(difficulty=1.1)),
        (0, 0, WorldStyle(difficulty=-0.1)),
        (0, 0, WorldStyle(difficulty=float('nan'))),
        (0, 0, WorldStyle(duration=0.0)),
        (0, 0, WorldStyle(duration=61.0)),
    ],
)
def test_impossible_arguments_are_refused(seed, index, style):
    with pytest.raises(ConfigError):
        build_scene(seed, index, style)


def test_camera_varies_between_scenes_and_more_so_with_difficulty(bare_world):
    easy, hard = bare_scenes(0.0), bare_scenes(1.0)
    for name in ('camera_height', 'camera_pitch', 'camera_roll'):
        low, high = (np.std([getattr(scene, name) for scene in scenes]) for scenes in (easy, hard))
        assert low > 0
        assert high > 2.5 * low
    assert np.mean([scene.camera_height for scene in hard]) == pytest.approx(1.65, abs=0.03)
    assert max(abs(scene.camera_pitch) for scene in hard) < np.deg2rad(4)


def test_camera_stays_where_it_is_on_the_ego_car_and_the_ego_car_in_its_lane(kitti_worlds):
    for scene in kitti_worlds:
        assert scene.ego.speed >= 5
        lane = -scene.ego.offset / scene.road.lane_width - 0.5
        assert lane == pytest.approx(round(lane))
        assert 0 <= round(lane) < scene.road.lanes[0]


def test_light_is_drawn_without_regard_to_what_is_in_the_scene(full_worlds):
    for scene in full_worlds[:1]:
        other = build_scene(scene.seed, scene.index, WorldStyle(every_category=False))
        assert other.environment == scene.environment
        assert other.road == scene.road
        assert [actor.track for actor in other.actors] != [actor.track for actor in scene.actors]


def test_sizes_vary_more_with_difficulty(monkeypatch):
    monkeypatch.setattr(world, 'build_ground', lambda *_: box((0, 0, 0), (1, 1, 1), GREY))
    monkeypatch.setattr(world, 'build_surroundings', lambda *_: box((0, 0, 0), (1, 1, 1), GREY))

    def deviation(difficulty):
        scenes = [build_scene(9, index, WorldStyle(difficulty)) for index in range(2)]
        hatchbacks = [a.size for scene in scenes for a in scene.actors if a.kind == 'hatchback']
        assert len(hatchbacks) > 30
        return np.std(hatchbacks, axis=0)

    assert np.all(deviation(1.0) > 1.3 * deviation(0.0))


def test_world_reaches_beyond_what_is_seen_at_the_ends_of_the_drive(kitti_worlds):
    for scene in kitti_worlds[:2]:
        low, high = scene.background.bounds
        assert low[0] < -80
        assert high[0] > scene.ego_pose(10.0)[0, 3] + 120


def test_scene_is_a_value_that_cannot_be_changed(kitti_worlds):
    with pytest.raises(AttributeError):
        kitti_worlds[0].seed = 1
    assert replace(kitti_worlds[0], seed=1).seed == 1

"""Scenes from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mono_distill.synthetic.environment import draw_environment
from mono_distill.synthetic.ground import build_ground, draw_road
from mono_distill.synthetic.mesh import merge
from mono_distill.synthetic.scene import Scene, Track
from mono_distill.synthetic.surroundings import build_surroundings
from mono_distill.synthetic.traffic import TrafficStyle, draw_traffic, taken_ground
from mono_distill.utils.errors import ConfigError

# How far the world is built behind the start and beyond the end of the drive, metres.
BEHIND, AHEAD = 90.0, 150.0
# Nominal height of KITTI's cameras above the ground, metres.
CAMERA_HEIGHT = 1.65


@dataclass(frozen=True)
class WorldStyle:
    """What scenes are drawn from.

    Attributes:
        difficulty: 0 to 1. More of it varies the height and pitch of the camera between scenes and the sizes of
            objects, thickens traffic and haze, steepens slopes and adds noise.
        duration: Seconds that a scene lasts.
        every_category: Whether all ten nuScenes classes are present all along the way.
    """

    difficulty: float = 0.5
    duration: float = 10.0
    every_category: bool = False


def build_scene(seed: int, index: int, style: WorldStyle) -> Scene:
    """Build one scene; equal arguments give equal scenes, different seeds share none.

    Args:
        seed: Seed of the data set, 0 to 2**32 - 1.
        index: Number of the scene in the data set, likewise.
        style: What it is drawn from.

    Raises:
        ConfigError: An argument is out of its range.
    """
    _check(seed, index, style)
    # Streams of their own: what one part draws does not move the others.
    streams = np.random.SeedSequence([seed, index]).spawn(6)
    course, light, land, sides, cars, rig = (np.random.default_rng(stream) for stream in streams)
    road = draw_road(course, style.difficulty)
    lane = int(course.integers(road.lanes[0]))
    ego = Track(0.0, -(lane + 0.5) * road.lane_width, float(course.uniform(5.0, 12.0)), 0.0)
    s_range = (-BEHIND, ego.speed * style.duration + AHEAD)
    traffic = TrafficStyle(style.difficulty, style.duration, style.every_category)
    actors = draw_traffic(road, ego, s_range, traffic, cars)
    surroundings = build_surroundings(road, s_range, sides, taken_ground(actors, style.duration))
    spread = style.difficulty
    return Scene(
        seed=seed,
        index=index,
        road=road,
        ego=ego,
        background=merge([build_ground(road, s_range, land), surroundings]),
        actors=actors,
        environment=draw_environment(light, style.difficulty),
        camera_height=float(CAMERA_HEIGHT + rig.normal(0, 0.015 + 0.05 * spread)),
        camera_pitch=float(np.deg2rad(rig.normal(-0.4, 0.1 + 0.6 * spread))),
        camera_roll=float(np.deg2rad(rig.normal(0, 0.1 + 0.3 * spread))),
    )


def _check(seed: int, index: int, style: WorldStyle) -> None:
    # Larger numbers would take two words of the entropy, and another pair could fill the same words.
    if not (0 <= seed < 2**32 and 0 <= index < 2**32):
        raise ConfigError(f'seed and index of a scene must be from 0 to 2**32 - 1, got {seed} and {index}')
    if not 0 <= style.difficulty <= 1:
        raise ConfigError(f'difficulty must lie between 0 and 1, got {style.difficulty}')
    if not 0 < style.duration <= 60:
        raise ConfigError(f'a scene must last more than 0 and at most 60 seconds, got {style.duration}')

"""Scenes as users get them, built once for all tests of this folder."""

from __future__ import annotations

import pytest

from mono_distill.synthetic.scene import Scene
from mono_distill.synthetic.world import WorldStyle, build_scene


@pytest.fixture(scope='session')
def kitti_worlds() -> tuple[Scene, ...]:
    """Scenes of several difficulties."""
    return tuple(build_scene(5, index, WorldStyle(difficulty=index % 3 / 2)) for index in range(6))


@pytest.fixture(scope='session')
def full_worlds() -> tuple[Scene, ...]:
    """Scenes with all ten categories."""
    return tuple(build_scene(5, index, WorldStyle(every_category=True)) for index in range(10, 13))


@pytest.fixture(scope='session')
def worlds(kitti_worlds, full_worlds) -> tuple[Scene, ...]:
    return (*kitti_worlds, *full_worlds)

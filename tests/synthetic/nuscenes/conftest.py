"""One small data set for all tests of this folder, and what the world knows about it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_nuscenes import tiny_options

from mono_distill.synthetic.camera import Camera, Rendering, render
from mono_distill.synthetic.lidar import HDL32, LidarScan, scan
from mono_distill.synthetic.nuscenes.keyframe import SECOND, keyframe_scene, scene_duration
from mono_distill.synthetic.nuscenes.layout import REPORT, Job, token
from mono_distill.synthetic.nuscenes.options import NuScenesOptions
from mono_distill.synthetic.nuscenes.rig import LIDAR, image_shape, scene_rig
from mono_distill.synthetic.nuscenes.splits import scene_names
from mono_distill.synthetic.nuscenes.streams import Stream, generator
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.scene import Actor, Scene


@dataclass(frozen=True)
class Truth:
    """A data set on disk, its report, the devkit on it, and the scenes that it shows."""

    options: NuScenesOptions
    report: dict[str, Any]

    @cached_property
    def nusc(self) -> Any:
        from nuscenes.nuscenes import NuScenes

        return NuScenes(version=self.report['version'], dataroot=str(self.options.out), verbose=False)

    @property
    def jobs(self) -> list[Job]:
        names = scene_names(self.options.scenes).all
        return [Job(i, name, k) for i, name in enumerate(names) for k in range(self.options.keyframes)]

    def sample(self, job: Job) -> dict[str, Any]:
        return self.nusc.get('sample', token(self.options.seed, 'sample', job.scene, job.keyframe))

    def scene(self, job: Job) -> Scene:
        options = self.options
        return keyframe_scene(options.seed, job.scene, options.difficulty, scene_duration(options))

    def actors(self, job: Job) -> dict[str, tuple[int, Actor]]:
        """Actors by the token of their instance."""
        seed = self.options.seed
        return {
            token(seed, 'instance', job.scene, actor.name): (index, actor)
            for index, actor in enumerate(self.scene(job).actors)
        }

    def look(self, job: Job, channel: str) -> tuple[RayCaster, Camera, Rendering]:
        """Take a camera's picture again."""
        mount = scene_rig(self.options.seed, job.scene, self.options.image_scale)[channel]
        moment = (job.time + mount.trigger) / SECOND
        scene = self.scene(job)
        ego = scene.ego_pose(moment)
        caster = RayCaster(scene, moment, center=ego[:3, 3])
        camera = Camera(mount.cam2img, ego @ mount.sensor2ego, image_shape(self.options.image_scale))
        return caster, camera, render(caster, camera, np.random.default_rng(0))

    def sweep(self, job: Job) -> LidarScan:
        """Repeat a key-frame's scan, with the truth about what was hit."""
        scene, mount = self.scene(job), scene_rig(self.options.seed, job.scene, self.options.image_scale)[LIDAR]
        ego = scene.ego_pose(job.time / SECOND)
        caster = RayCaster(scene, job.time / SECOND, center=ego[:3, 3])
        rng = generator(self.options.seed, job.scene, job.keyframe, Stream.LIDAR)
        return scan(caster, HDL32, ego @ mount.sensor2ego, rng)


@pytest.fixture(scope='session')
def truth(tiny_nuscenes: Path) -> Truth:
    """Two scenes of three key-frames; the first is for training, the second for validation. Do not write there."""
    return Truth(tiny_options(tiny_nuscenes), json.loads((tiny_nuscenes / REPORT).read_text()))


@pytest.fixture
def options(tmp_path: Path) -> NuScenesOptions:
    """A data set that is not there yet."""
    return replace(NuScenesOptions(tmp_path / 'data', scenes=2, keyframes=2, seed=4), image_scale=0.1)

"""One key-frame: six images, the LiDAR's scan, the sweeps before it, and what is known about the objects."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pyquaternion import Quaternion

from mono_distill.synthetic.camera import Camera, render
from mono_distill.synthetic.lidar import HDL32, LidarScan, scan
from mono_distill.synthetic.nuscenes import layout
from mono_distill.synthetic.nuscenes.annotations import annotate, visible_shares
from mono_distill.synthetic.nuscenes.global_map import draw_map, world2global
from mono_distill.synthetic.nuscenes.options import NuScenesOptions
from mono_distill.synthetic.nuscenes.rig import CAMERAS, LIDAR, Mount, image_shape, scene_rig
from mono_distill.synthetic.nuscenes.streams import Stream, generator
from mono_distill.synthetic.output import write_bytes
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.scene import Scene
from mono_distill.synthetic.visibility import ActorView, view_actors
from mono_distill.synthetic.world import WorldStyle, build_scene
from mono_distill.utils.errors import DataError
from mono_distill.utils.processes import stopping

SECOND = 1_000_000


def scene_duration(options: NuScenesOptions) -> float:
    """Return the seconds from a scene's first sweep to its last key-frame."""
    return layout.Job(0, '', options.keyframes - 1).time / SECOND


@lru_cache(maxsize=1)
def keyframe_scene(seed: int, index: int, difficulty: float, duration: float) -> Scene:
    """Build a scene; the last one is kept, because a worker makes many key-frames of it."""
    return build_scene(seed, index, WorldStyle(difficulty=difficulty, duration=duration, every_category=True))


def make_keyframe(job: layout.Job, options: NuScenesOptions) -> dict[str, Any]:
    """Make the files of a key-frame, its record last.

    Returns:
        The record: ``data``, one entry per file of a sensor with its time and ego pose, and ``annotations``.

    Raises:
        DataError: If a file cannot be written.
    """
    duration = scene_duration(options)
    scene = keyframe_scene(options.seed, job.scene, options.difficulty, duration)
    maker = _KeyframeMaker(job, options, scene, world2global(scene, duration))
    if job.keyframe == 0:
        write_image(options.out / layout.map_file(options.seed, job.scene), draw_map(scene, duration))
    views, data = [], []
    for number, channel in enumerate(CAMERAS):
        seen, entry = maker.photograph(number, channel)
        views += seen
        data.append(entry)
    for number, moment in enumerate(job.sweep_times):
        data.append(maker.sweep(number + 1, moment)[1])
    points, entry = maker.sweep(0, job.time)
    data.append(entry)
    annotations = annotate(scene, job.time / SECOND, maker.world2global, points, visible_shares(views))
    record = {'scene': job.name, 'keyframe': job.keyframe, 'data': data, 'annotations': annotations}
    write_bytes(options.out / job.record, json.dumps(record).encode())
    return record


class _KeyframeMaker:
    """Sensors of one key-frame at work."""

    def __init__(self, job: layout.Job, options: NuScenesOptions, scene: Scene, pose: NDArray) -> None:
        self.job = job
        self.options = options
        self.scene = scene
        self.world2global = pose
        self.rig = scene_rig(options.seed, job.scene, options.image_scale)

    def photograph(self, number: int, channel: str) -> tuple[list[ActorView], dict[str, Any]]:
        """Write a camera's image; return what it shows of the actors and its entry in the record."""
        mount = self.rig[channel]
        moment = self.job.time + mount.trigger
        caster, sensor2world = self._at(moment, mount)
        if mount.cam2img is None:
            raise DataError(f'{channel} has no intrinsics')
        cam2img = np.concatenate([mount.cam2img, np.zeros((3, 1))], axis=1)
        camera = Camera(cam2img, sensor2world, image_shape(self.options.image_scale))
        rng = generator(self.options.seed, self.job.scene, self.job.keyframe, Stream.CAMERA + number)
        rendering = render(caster, camera, rng)
        entry = self._entry(channel, moment, is_key_frame=True)
        write_image(self.options.out / entry['filename'], rendering.image, self.options.jpeg_quality)
        return view_actors(caster, camera, rendering), entry

    def sweep(self, number: int, moment: int) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Write a turn of the LiDAR, number 0 being the key-frame's; return its points (global) and its entry."""
        caster, sensor2world = self._at(moment, self.rig[LIDAR])
        rng = generator(self.options.seed, self.job.scene, self.job.keyframe, Stream.LIDAR + number)
        cloud = scan(caster, HDL32, sensor2world, rng)
        entry = self._entry(LIDAR, moment, is_key_frame=number == 0)
        write_bytes(self.options.out / entry['filename'], point_file(cloud).tobytes())
        sensor2global = self.world2global @ sensor2world
        return cloud.points.astype(np.float64) @ sensor2global[:3, :3].T + sensor2global[:3, 3], entry

    def _at(self, moment: int, mount: Mount) -> tuple[RayCaster, NDArray[np.float64]]:
        """Return the world at a moment and the sensor's pose in it."""
        if stopping():
            raise DataError(f'{self.job.name}, key-frame {self.job.keyframe}: called off')
        ego = self.scene.ego_pose(moment / SECOND)
        return RayCaster(self.scene, moment / SECOND, center=ego[:3, 3]), ego @ mount.sensor2ego

    def _entry(self, channel: str, moment: int, *, is_key_frame: bool) -> dict[str, Any]:
        pose = self.world2global @ self.scene.ego_pose(moment / SECOND)
        return {
            'channel': channel,
            'timestamp': layout.timestamp(self.job.scene, moment),
            'filename': layout.filename(self.job.scene, channel, moment, is_key_frame=is_key_frame),
            'is_key_frame': is_key_frame,
            'translation': pose[:3, 3].tolist(),
            'rotation': Quaternion(matrix=pose[:3, :3]).elements.tolist(),
        }


def point_file(cloud: LidarScan) -> NDArray[np.float32]:
    """Return (N, 5) x, y, z (LiDAR frame, metres), intensity 0 to 255, ring."""
    columns = [cloud.points, np.round(cloud.intensity * 255)[:, None], cloud.ring[:, None]]
    return np.concatenate(columns, axis=1).astype('<f4')


def write_image(path: Path, image: NDArray[np.uint8], quality: int = 90) -> None:
    """Write an image whole or not at all, in the format that its suffix names."""
    done, content = cv2.imencode(
        path.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == '.jpg' else []
    )
    if not done:
        raise DataError(f'cannot encode {path}')
    write_bytes(path, content.tobytes())

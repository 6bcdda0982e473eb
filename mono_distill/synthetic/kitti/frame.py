"""One frame: picture, scan, calibration and labels of the same moment, and their files."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_distill.datasets.kitti.labels import KittiLabels, write_label
from mono_distill.datasets.kitti.layout import SOURCE_PARTS, KittiFolder
from mono_distill.synthetic.camera import Camera, Rendering, render
from mono_distill.synthetic.kitti.labels import label_frame
from mono_distill.synthetic.kitti.options import KittiOptions
from mono_distill.synthetic.kitti.rig import KittiRig, build_rig
from mono_distill.synthetic.lidar import HDL64, LidarScan, scan
from mono_distill.synthetic.output import blame_disk, write_bytes
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.scene import Scene
from mono_distill.synthetic.visibility import ActorView, view_actors
from mono_distill.synthetic.world import WorldStyle, build_scene

SUBSET = 'training'
# The lowest level that compresses: noise leaves little to gain by more, and it takes three times as long.
PNG_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class Stream(IntEnum):
    """What random numbers are for: each purpose has a generator of its own, whoever draws first."""

    RIG = 0
    IMAGE = 1
    LIDAR = 2


@dataclass(frozen=True)
class KittiFrame:
    """A frame with its truth.

    Attributes:
        scene: The scene.
        rig: Cameras and LiDAR.
        cam2world: (4, 4) pose of the rectified camera frame.
        rendering: What camera 2 saw.
        views: What it saw of each actor.
        scan: What the LiDAR measured.
        labels: The annotations.
    """

    scene: Scene
    rig: KittiRig
    cam2world: NDArray[np.float64]
    rendering: Rendering
    views: list[ActorView]
    scan: LidarScan
    labels: KittiLabels


def make_frame(options: KittiOptions, number: int) -> KittiFrame:
    """Render, scan and annotate a frame; a pure function of the options and its number."""
    sequence, frame = divmod(number, options.frames_per_sequence)
    scene, rig = _sequence(options.seed, sequence, options.difficulty, options.duration, options.image_scale)
    time = frame * options.frame_gap
    ego2world = scene.ego_pose(time)
    cam2world = ego2world @ rig.cam2ego
    caster = RayCaster(scene, time, center=ego2world[:3, 3])
    camera = Camera(rig.matrices['P2'], cam2world, rig.shape)
    rendering = render(caster, camera, _generator(options.seed, sequence, frame, Stream.IMAGE))
    views = view_actors(caster, camera, rendering)
    returns = scan(caster, HDL64, cam2world @ rig.lidar2cam, _generator(options.seed, sequence, frame, Stream.LIDAR))
    labels = label_frame(caster, views, cam2world, rig.shape)
    return KittiFrame(scene, rig, cam2world, rendering, views, returns, labels)


def write_frame(options: KittiOptions, number: int) -> None:
    """Make a frame and write its files, the labels last.

    Raises:
        DataError: If a file cannot be written; it says which, and how much space is free if that is the cause.
    """
    frame = make_frame(options, number)
    folder, name = KittiFolder(options.out), f'{number:06d}'
    encoded, picture = cv2.imencode('.png', frame.rendering.image, PNG_OPTIONS)
    if not encoded:
        raise RuntimeError(f'OpenCV cannot encode the image of frame {name}')
    points = np.column_stack([frame.scan.points, frame.scan.intensity]).astype('<f4')
    contents = {
        'image_2': picture.tobytes(),
        'velodyne': points.tobytes(),
        'calib': frame.rig.calibration_text().encode(),
    }
    for part, content in contents.items():
        write_bytes(folder.path(SUBSET, part, name), content)
    labels = folder.path(SUBSET, 'label_2', name)
    with blame_disk(labels):
        write_label(labels, frame.labels, with_score=False)


def is_written(options: KittiOptions, number: int) -> bool:
    """Whether a frame's files are all there; each is whole if it is there, and the labels come last."""
    folder = KittiFolder(options.out)
    return all(folder.path(SUBSET, part, f'{number:06d}').is_file() for part in SOURCE_PARTS)


@lru_cache(maxsize=1)
def _sequence(
    seed: int, sequence: int, difficulty: float, duration: float, image_scale: float
) -> tuple[Scene, KittiRig]:
    """Return scene and rig of a sequence; its frames are usually made one after another."""
    scene = build_scene(seed, sequence, WorldStyle(difficulty=difficulty, duration=duration))
    rig = build_rig(scene, _generator(seed, sequence, 0, Stream.RIG), image_scale=image_scale)
    return scene, rig


def _generator(seed: int, sequence: int, frame: int, stream: Stream) -> np.random.Generator:
    return np.random.default_rng([seed, sequence, frame, stream])

"""Times, names and tokens of a synthetic nuScenes data set.

A scene starts with ten sweeps of the LiDAR, so that its first key-frame can gather as many as all others. All times
are whole microseconds, as in nuScenes' tables.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from mono_distill.synthetic.nuscenes.rig import LIDAR

KEYFRAME_INTERVAL = 500_000
SWEEP_INTERVAL = 50_000
SWEEPS = 10
# 2018-01-01, 00:00 UTC; scenes start a minute apart.
EPOCH = 1_514_764_800
SCENE_INTERVAL = 60
VEHICLE = 'n900'
LOCATION = 'synthetic'
RECORDS = 'keyframes'
MANIFEST = 'synthetic.json'
REPORT = 'synthetic_report.json'


@dataclass(frozen=True)
class Job:
    """One key-frame to make.

    Attributes:
        scene: Number of the scene.
        name: Name of the scene.
        keyframe: Number of the key-frame in the scene.
    """

    scene: int
    name: str
    keyframe: int

    @property
    def time(self) -> int:
        """Microseconds from the scene's start to the key-frame's LiDAR scan."""
        return SWEEPS * SWEEP_INTERVAL + self.keyframe * KEYFRAME_INTERVAL

    @property
    def sweep_times(self) -> list[int]:
        """Microseconds from the scene's start to each sweep that leads up to the key-frame."""
        # From the second key-frame on, the tenth sweep back is the key-frame before.
        count = SWEEPS if self.keyframe == 0 else KEYFRAME_INTERVAL // SWEEP_INTERVAL - 1
        return [self.time - step * SWEEP_INTERVAL for step in range(count, 0, -1)]

    @property
    def record(self) -> str:
        """Path below the root of the file that says that the key-frame is complete."""
        return f'{RECORDS}/{self.name}_{self.keyframe:04d}.json'


def timestamp(scene: int, moment: int) -> int:
    """Return microseconds since 1970 for a moment given in microseconds from a scene's start."""
    return (EPOCH + scene * SCENE_INTERVAL) * 1_000_000 + moment


def date(scene: int) -> str:
    """Return the day on which a scene was 'recorded'."""
    return time.strftime('%Y-%m-%d', time.gmtime(EPOCH + scene * SCENE_INTERVAL))


def logfile(scene: int) -> str:
    """Return the name of a scene's log.

    Example:
        >>> logfile(61)
        'n900-2018-01-01-01-01-00+0000'
    """
    return time.strftime(f'{VEHICLE}-%Y-%m-%d-%H-%M-%S+0000', time.gmtime(EPOCH + scene * SCENE_INTERVAL))


def filename(scene: int, channel: str, moment: int, *, is_key_frame: bool) -> str:
    """Return the path of a sensor's file below the root, named as nuScenes does.

    Example:
        >>> filename(0, 'CAM_BACK', 500000, is_key_frame=True)
        'samples/CAM_BACK/n900-2018-01-01-00-00-00+0000__CAM_BACK__1514764800500000.jpg'
    """
    folder = 'samples' if is_key_frame else 'sweeps'
    suffix = 'pcd.bin' if channel == LIDAR else 'jpg'
    return f'{folder}/{channel}/{logfile(scene)}__{channel}__{timestamp(scene, moment)}.{suffix}'


def token(*parts: object) -> str:
    """Return the 32 hexadecimal digits that identify a row; the same parts give the same token.

    Example:
        >>> token(0, 'scene', 'scene-0061') == token(0, 'scene', 'scene-0061') != token(1, 'scene', 'scene-0061')
        True
    """
    return hashlib.sha256('/'.join(str(part) for part in parts).encode()).hexdigest()[:32]


def map_file(seed: int, scene: int) -> str:
    """Return the path of a scene's map below the root."""
    return f'maps/{token(seed, "map", scene)}.png'

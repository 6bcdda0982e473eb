"""Infos of nuScenes: MMDetection3D's v2 format, with scenes, neighbours in time and every sensor's own pose.

Per key-frame, besides the fields of v2 (``sample_idx, token, timestamp, ego2global, lidar_points, lidar_sweeps, images,
instances``):

* ``scene_token, scene_name, frame_idx`` (0 at the start of the scene);
* ``prev_idx, next_idx``: positions in the file, -1 for none, and ``prev_token, next_token``, '' for none;
* per camera ``ego2global`` and ``cam2global`` at the camera's own time, ``height`` and ``width``.

``cam_instances`` is left out. Arrays are float32, except ``*2ego`` and ``*2global``, which are the records' poses in
float64: in global coordinates a float32 resolves a tenth of a millimetre only, and the devkit's quaternions refuse
rotations that are not orthogonal to 1e-7. Paths of key-frame files are bare names as in v2, those of sweeps are
relative to the root (the tenth sweep is the key-frame before and lies in ``samples``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.datasets.nuscenes.boxes import box_in_lidar, velocity_in_lidar
from mono_distill.datasets.nuscenes.classes import CAMERAS, CLASS_OF_CATEGORY, LIDAR, NUSCENES_CLASSES
from mono_distill.datasets.nuscenes.layout import FileCheck
from mono_distill.datasets.nuscenes.poses import invert_rigid, pose_of
from mono_distill.utils.errors import DataError

if TYPE_CHECKING:
    from nuscenes.nuscenes import NuScenes

Info = dict[str, Any]

INFO_VERSION = 'mono_distill-1'
# Sweeps before a key-frame that the infos name; at 20 Hz they reach back to the key-frame before.
MAX_SWEEPS = 10
POINT_FEATURES = 5
# Labels in the files are mmdet3d's numbers, so that its own dataset reads them as well; ours go by the name.
CATEGORIES = {
    name: number
    for number, name in enumerate(
        (
            'car', 'truck', 'trailer', 'bus', 'construction_vehicle', 'bicycle', 'motorcycle', 'pedestrian',
            'traffic_cone', 'barrier',
        )
    )
}  # fmt: skip


def info_file(data_list: Sequence[Info], version: str) -> dict[str, Any]:
    """Return what an info file holds.

    Args:
        data_list: Key-frames of whole scenes, in order; their positions and links are filled in.
        version: nuScenes version, such as ``v1.0-mini``.
    """
    position = {info['token']: index for index, info in enumerate(data_list)}
    for index, info in enumerate(data_list):
        info['sample_idx'] = index
        info['prev_idx'] = position.get(info['prev_token'], -1)
        info['next_idx'] = position.get(info['next_token'], -1)
    metainfo = {
        'dataset': 'nuscenes',
        'version': version,
        'info_version': INFO_VERSION,
        'classes': NUSCENES_CLASSES,
        'categories': CATEGORIES,
    }
    return {'metainfo': metainfo, 'data_list': list(data_list)}


def scene_infos(
    nusc: NuScenes, scene: Mapping[str, Any], files: FileCheck, *, annotated: bool = True, max_sweeps: int = MAX_SWEEPS
) -> list[Info]:
    """Return the infos of a scene's key-frames in the order of time.

    Args:
        nusc: The data base.
        scene: Its ``scene`` record.
        files: Told every file that the infos name.
        annotated: Whether there are annotations; the test split has none.
        max_sweeps: LiDAR sweeps before each key-frame.

    Raises:
        DataError: A key-frame lacks a camera or the LiDAR.
    """
    reader = _SensorReader(nusc, files, max_sweeps)
    infos: list[Info] = []
    token = scene['first_sample_token']
    while token:
        sample = nusc.get('sample', token)
        info = reader.keyframe(sample)
        info |= {'scene_token': scene['token'], 'scene_name': scene['name'], 'frame_idx': len(infos)}
        info |= {'prev_token': sample['prev'], 'next_token': sample['next']}
        if annotated:
            info['instances'] = _instances(nusc, sample, info['ego2global'] @ info['lidar_points']['lidar2ego'])
        infos.append(_rounded(info))
        token = sample['next']
    return infos


class _SensorReader:
    """Turns records of sensors into infos.

    Args:
        nusc: The data base.
        files: Told every file.
        max_sweeps: LiDAR sweeps before each key-frame.
    """

    def __init__(self, nusc: NuScenes, files: FileCheck, max_sweeps: int) -> None:
        self.nusc = nusc
        self.files = files
        self.max_sweeps = max_sweeps
        # One array per calibration: a pickle holds it once.
        self._sensor2ego: dict[str, NDArray[np.float64]] = {}

    def keyframe(self, sample: Mapping[str, Any]) -> Info:
        """Return the sensors of a key-frame."""
        missing = [channel for channel in (LIDAR, *CAMERAS) if channel not in sample['data']]
        if missing:
            raise DataError(
                f'key-frame {sample["token"]} has no {", ".join(missing)}; sample_data.json belongs to another version '
                'or is cut short: unpack the metadata archive again'
            )
        record = self.nusc.get('sample_data', sample['data'][LIDAR])
        self.files.expect('LiDAR key-frame', record['filename'])
        lidar2ego, ego2global = self._poses(record)
        global2lidar = invert_rigid(ego2global @ lidar2ego)
        return {
            'token': sample['token'],
            'timestamp': sample['timestamp'] / 1e6,
            'ego2global': ego2global,
            'lidar_points': {
                'num_pts_feats': POINT_FEATURES,
                'lidar_path': PurePosixPath(record['filename']).name,
                'lidar2ego': lidar2ego,
                'timestamp': record['timestamp'] / 1e6,
                'sample_data_token': record['token'],
            },
            'lidar_sweeps': list(self._sweeps(record, global2lidar)),
            'images': {channel: self._camera(sample['data'][channel], global2lidar) for channel in CAMERAS},
        }

    def _poses(self, record: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return sensor to ego and ego to global of a ``sample_data`` record, at its own time."""
        token = record['calibrated_sensor_token']
        if token not in self._sensor2ego:
            self._sensor2ego[token] = pose_of(self.nusc.get('calibrated_sensor', token))
        return self._sensor2ego[token], pose_of(self.nusc.get('ego_pose', record['ego_pose_token']))

    def _sweeps(self, keyframe: Mapping[str, Any], global2lidar: NDArray) -> Iterable[Info]:
        """Yield the scans before a key-frame, the nearest first; the start of a scene has fewer."""
        record, count = keyframe, 0
        while record['prev'] and count < self.max_sweeps:
            record, count = self.nusc.get('sample_data', record['prev']), count + 1
            self.files.expect('LiDAR sweep', record['filename'])
            lidar2ego, ego2global = self._poses(record)
            yield {
                'lidar_points': {
                    'lidar_path': record['filename'],
                    'lidar2ego': lidar2ego,
                    # v2's name for: LiDAR frame of the key-frame to LiDAR frame of the sweep.
                    'lidar2sensor': invert_rigid(global2lidar @ ego2global @ lidar2ego),
                },
                'ego2global': ego2global,
                'timestamp': record['timestamp'] / 1e6,
                'sample_data_token': record['token'],
            }

    def _camera(self, token: str, global2lidar: NDArray) -> Info:
        record = self.nusc.get('sample_data', token)
        self.files.expect('camera', record['filename'])
        cam2ego, ego2global = self._poses(record)
        calibration = self.nusc.get('calibrated_sensor', record['calibrated_sensor_token'])
        cam2global = ego2global @ cam2ego
        return {
            'img_path': PurePosixPath(record['filename']).name,
            'height': record['height'],
            'width': record['width'],
            'cam2img': np.array(calibration['camera_intrinsic'], dtype=np.float64),
            'cam2ego': cam2ego,
            'lidar2cam': invert_rigid(global2lidar @ cam2global),
            'ego2global': ego2global,
            'cam2global': cam2global,
            'timestamp': record['timestamp'] / 1e6,
            'sample_data_token': token,
        }


def _instances(nusc: NuScenes, sample: Mapping[str, Any], lidar2global: NDArray) -> list[Info]:
    """Return the boxes of a key-frame whose category belongs to a detection class."""
    instances = []
    for token in sample['anns']:
        annotation = nusc.get('sample_annotation', token)
        name = CLASS_OF_CATEGORY.get(annotation['category_name'])
        if name is None:
            continue
        counts = annotation['num_lidar_pts'], annotation['num_radar_pts']
        instances.append(
            {
                'bbox_3d': box_in_lidar(annotation, lidar2global),
                'bbox_label': CATEGORIES[name],
                'bbox_label_3d': CATEGORIES[name],
                'bbox_3d_isvalid': sum(counts) > 0,
                'num_lidar_pts': counts[0],
                'num_radar_pts': counts[1],
                'velocity': velocity_in_lidar(nusc.box_velocity(token), lidar2global),
            }
        )
    return instances


def _rounded(value: Any, name: str = '') -> Any:
    """Return nested infos whose arrays are float32, except the poses of records."""
    if isinstance(value, dict):
        return {key: _rounded(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, np.ndarray) and not name.endswith(('2global', '2ego')):
        return value.astype(np.float32)
    return value

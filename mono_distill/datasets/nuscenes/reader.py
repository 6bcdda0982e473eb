"""Read info files of nuScenes: ours, and the v2 files of MMDetection3D 1.x, which know no neighbours in time."""

from __future__ import annotations

import os.path as osp
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mono_distill.datasets.nuscenes.infos import CATEGORIES, Info
from mono_distill.datasets.nuscenes.poses import as_matrix
from mono_distill.utils.errors import DataError

PREPARE = '`mono-distill prepare nuscenes --root {root}`'


class InfoStore:
    """Infos as one array of bytes, which worker processes share instead of copying a million objects each.

    Example:
        >>> store = InfoStore([{'token': 'a'}, {'token': 'b'}])
        >>> len(store), store[1]
        (2, {'token': 'b'})
    """

    def __init__(self, infos: Sequence[Mapping[str, Any]]) -> None:
        blobs = [np.frombuffer(pickle.dumps(info, protocol=4), dtype=np.uint8) for info in infos]
        self._ends = np.cumsum([len(blob) for blob in blobs], dtype=np.int64)
        self._bytes = np.concatenate(blobs) if blobs else np.zeros(0, dtype=np.uint8)

    def __len__(self) -> int:
        """Return the number of infos."""
        return len(self._ends)

    def __getitem__(self, position: int) -> Info:
        """Return a fresh copy of the info at a position of the file."""
        start = int(self._ends[position - 1]) if position else 0
        return pickle.loads(self._bytes[start : int(self._ends[position])].tobytes())


def read_info_file(path: str, root: str = '') -> tuple[dict[str, Any], list[Info]]:
    """Return the metainfo and the key-frames of an info file.

    Raises:
        DataError: The file is missing, cannot be unpickled, has another format or holds no key-frame.
    """
    cure = f'run {PREPARE.format(root=root or "DIR")}, which writes nuscenes_infos_train.pkl and nuscenes_infos_val.pkl'
    if not osp.isfile(path):
        raise DataError(f'info file {path} does not exist; {cure}')
    try:
        with open(path, 'rb') as file:
            content = pickle.load(file)
    except Exception as error:
        # A damaged pickle can raise anything.
        raise DataError(f'info file {path} cannot be read ({error!r}); {cure}') from error
    if isinstance(content, dict) and 'infos' in content and 'data_list' not in content:
        raise DataError(f'info file {path} has the format of mmdet3d 0.x; {cure}')
    if not isinstance(content, dict) or not isinstance(content.get('data_list'), list):
        raise DataError(f'info file {path} is not an info file of mmdet3d 1.x: it has no data_list; {cure}')
    if not content['data_list']:
        raise DataError(f'info file {path} holds no key-frame; {cure}')
    metainfo = dict(content.get('metainfo') or {})
    infos = content['data_list']
    if not str(metainfo.get('info_version', '')).startswith('mono_distill'):
        _complete(metainfo, infos)
    return metainfo, infos


def _complete(metainfo: dict[str, Any], infos: list[Info]) -> None:
    """Fill in what mmdet3d's writer leaves out: the numbers of the classes, and lists that are empty."""
    metainfo.setdefault('categories', CATEGORIES)
    if not str(metainfo.get('version', '')).endswith('test'):
        for info in infos:
            info.setdefault('instances', [])


def past_positions(store: InfoStore, position: int, count: int, path: str) -> list[int | None]:
    """Return the positions of the ``count`` key-frames before one, the nearest first, None from the scene's start on.

    Args:
        store: All key-frames of the file.
        position: Where to start.
        count: How many.
        path: The file, for messages.

    Raises:
        DataError: The infos have no links, or these lead astray (the file is a part of another).
    """
    found: list[int | None] = []
    info = store[position] if count else {}
    while len(found) < count:
        if 'prev_idx' not in info:
            raise DataError(
                f'{path} knows no key-frames before others (infos of mmdet3d have no links), and {count} of them are '
                f'wanted; build infos with {PREPARE.format(root="DIR")}, or use num_frames=1 and num_past=0'
            )
        previous = info['prev_idx']
        if previous < 0:
            return found + [None] * (count - len(found))
        before = store[previous] if previous < len(store) else {}
        if before.get('token') != info['prev_token'] or before.get('scene_token') != info['scene_token']:
            raise DataError(
                f'{path}: position {previous} is not the key-frame before {info["token"]}; a part of an info file '
                'keeps the positions of the whole: choose samples with indices= instead'
            )
        found.append(previous)
        position, info = previous, before
    return found


def resolve_path(prefix: Mapping[str, str], channel: str, path: str) -> str:
    """Return where a sensor's file is: ``prefix[channel]`` joined with its name.

    Sweeps carry their folder: those that lie in ``sweeps`` belong to ``prefix['sweeps']``, the others are key-frames.

    Example:
        >>> resolve_path({'pts': 'd/samples/L', 'sweeps': 'd/sweeps/L'}, 'pts', 'sweeps/LIDAR_TOP/a.bin')
        'd/sweeps/L/a.bin'
    """
    folders, name = osp.split(path)
    if channel == 'pts' and 'sweeps' in folders.split('/'):
        channel = 'sweeps'
    return osp.join(prefix[channel], name)


def normalized(info: Info, prefix: Mapping[str, str]) -> Info:
    """Return a key-frame as the pipeline gets it: whole paths, 4x4 float64 matrices.

    Raises:
        KeyError: The info lacks a field.
        ValueError: A matrix has another shape.
    """
    lidar, images = info['lidar_points'], info['images']
    sweeps = [
        {
            'lidar_path': resolve_path(prefix, 'pts', sweep['lidar_points']['lidar_path']),
            'lidar2sensor': as_matrix(sweep['lidar_points']['lidar2sensor']),
            'timestamp': float(sweep['timestamp']),
        }
        for sweep in info.get('lidar_sweeps', ())
    ]
    lidar_path = resolve_path(prefix, 'pts', lidar['lidar_path'])
    cameras = {
        channel: {
            'img_path': resolve_path(prefix, channel, camera['img_path']),
            'cam2img': as_matrix(camera['cam2img']),
            'lidar2cam': as_matrix(camera['lidar2cam']),
            **{key: int(camera[key]) for key in ('height', 'width') if camera.get(key)},
        }
        for channel, camera in images.items()
        if camera.get('img_path')
    }
    return {
        'token': info['token'],
        'scene_token': info.get('scene_token', ''),
        'scene_name': info.get('scene_name', ''),
        'frame_idx': info.get('frame_idx', -1),
        'timestamp': float(info['timestamp']),
        'ego2global': as_matrix(info['ego2global']),
        'lidar2ego': as_matrix(lidar['lidar2ego']),
        'lidar_path': lidar_path,
        'num_pts_feats': int(lidar.get('num_pts_feats', 5)),
        'lidar_points': {
            'lidar_path': lidar_path,
            'num_pts_feats': int(lidar.get('num_pts_feats', 5)),
            'lidar2ego': as_matrix(lidar['lidar2ego']),
        },
        'lidar_sweeps': sweeps,
        'images': cameras,
        'img_path': [camera['img_path'] for camera in cameras.values()],
    }

"""Read a key-frame's LiDAR scan and the sweeps before it into one cloud, and clouds of earlier key-frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet3d.structures import LiDARPoints
from numpy.typing import NDArray

from mono_distill.datasets.nuscenes.poses import invert_rigid, past2current
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, DataError

PREPARE = '`mono-distill prepare nuscenes --root DIR`'
# Rings of a LiDAR are numbered; nobody builds one with more.
MAX_RINGS = 256
# Points looked at to tell rings from something else.
RING_SAMPLE = 256


@TRANSFORMS.register_module()
class LoadLidarSweeps(BaseTransform):
    r"""Read the scan of the key-frame and the sweeps before it, moved by the car's own motion.

    .. math:: p_{key} = S^{-1} p_{sweep}

    with :math:`S` the infos' ``lidar2sensor`` (LiDAR frame of the key-frame to that of the sweep). mmdet3d's
    ``LoadPointsFromMultiSweeps`` takes :math:`R^T p - t` of this matrix's :math:`R` and :math:`t`, which is wrong by
    :math:`\|(I - R^T) t\|` wherever the car turns.

    Keys added: ``points``, ``LiDARPoints`` (n, 5) x, y, z (metres, LiDAR frame of the key-frame), intensity, seconds
    before the key-frame, exactly 0 for its own points; with ``num_past`` also ``past_points``, a list of such clouds
    of earlier key-frames, each with its own sweeps and seconds before its own key-frame, and ``past_exists`` (K,)
    bool. A key-frame before the scene's start repeats the current cloud.

    Args:
        num_sweeps: Sweeps before a key-frame, at most; the nearest are taken, at a scene's start there are fewer.
        num_past: K, the number of earlier key-frames.
        past_frame: ``'own'``: past clouds stay in the LiDAR frame of their key-frame; ``'current'``: they are moved
            into that of the current one.
        remove_close: Points of sweeps with \|x\| and \|y\| below this are left out (the car itself), metres in the
            sweep's frame; the scan of the key-frame keeps them, as in mmdet3d's CenterPoint.

    Raises:
        ConfigError: An argument is impossible, or the data set hands along fewer key-frames.
        DataError: A file is missing, cut short, has another number of columns, or values that are not finite.
    """

    def __init__(
        self, num_sweeps: int = 9, num_past: int = 0, past_frame: str = 'own', *, remove_close: float = 1.0
    ) -> None:
        if num_sweeps < 0 or num_past < 0 or remove_close < 0:
            raise ConfigError(
                f'LoadLidarSweeps: num_sweeps={num_sweeps}, num_past={num_past} and remove_close={remove_close} must '
                'not be negative'
            )
        if past_frame not in ('own', 'current'):
            raise ConfigError(f"LoadLidarSweeps: past_frame must be 'own' or 'current', got {past_frame!r}")
        self.num_sweeps = num_sweeps
        self.num_past = num_past
        self.past_frame = past_frame
        self.remove_close = remove_close

    @property
    def past_keyframes(self) -> int:
        """Earlier key-frames that the data set must hand along."""
        return self.num_past

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the clouds."""
        results['points'] = _as_points(self._cloud(results))
        if self.num_past:
            past = results.get('past') or []
            if len(past) < self.num_past:
                raise ConfigError(
                    f'LoadLidarSweeps(num_past={self.num_past}) needs {self.num_past} earlier key-frames, and the '
                    f'data set hands along {len(past)}; give it num_past={self.num_past} or more'
                )
            frames = past[: self.num_past]
            results['past_points'] = [self._past(results, frame) for frame in frames]
            results['past_exists'] = np.array([frame is not None for frame in frames])
        return results

    def _past(self, results: Mapping[str, Any], frame: Mapping[str, Any] | None) -> LiDARPoints:
        """Return the cloud of an earlier key-frame, or the current one again."""
        if frame is None:
            return results['points'].clone()
        cloud = self._cloud(frame)
        return _as_points(moved(cloud, past2current(frame, results)) if self.past_frame == 'current' else cloud)

    def _cloud(self, frame: Mapping[str, Any]) -> NDArray[np.float32]:
        """Return (n, 5) of a key-frame with its sweeps, in its own LiDAR frame."""
        columns, token = frame['num_pts_feats'], frame['token']
        scan = read_sweep(frame['lidar_path'], columns, kind=f'the LiDAR scan of key-frame {token}')
        clouds = [with_time(scan, 0.0)]
        for sweep in frame['lidar_sweeps'][: self.num_sweeps]:
            points = read_sweep(sweep['lidar_path'], columns, kind=f'a LiDAR sweep of key-frame {token}')
            points = points[~(np.abs(points[:, :2]) < self.remove_close).all(axis=1)]
            points = with_time(points, frame['timestamp'] - sweep['timestamp'])
            clouds.append(moved(points, invert_rigid(sweep['lidar2sensor'])))
        return np.concatenate(clouds)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_sweeps={self.num_sweeps}, num_past={self.num_past}, '
            f'past_frame={self.past_frame!r}, remove_close={self.remove_close})'
        )


def read_sweep(path: str, columns: int = 5, *, kind: str = 'a LiDAR scan') -> NDArray[np.float32]:
    """Read a scan of nuScenes.

    Args:
        path: Little-endian float32 file of x, y, z, intensity, ring.
        columns: Values per point.
        kind: What it is, for messages.

    Returns:
        (n, columns) float32.

    Raises:
        DataError: The file is missing or empty, its size or its last column does not fit the number of columns, or
            values are not finite.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            f'{kind} is missing: cannot read {path} ({error.strerror}); unpack the archive that holds it (sweeps of '
            f'every blob) and run {PREPARE}, which names every missing file; without sweeps, use num_sweeps=0'
        ) from error
    if not content:
        raise DataError(f'{kind}, {path}, is empty; unpack its archive again')
    if len(content) % (4 * columns):
        raise DataError(
            f'{kind}, {path}, has {len(content)} bytes, which is no number of points with {columns} columns of '
            f'float32; either it is cut short, or the infos name the wrong number of columns: run {PREPARE} again'
        )
    points = np.frombuffer(content, dtype='<f4').reshape(-1, columns)
    faulty = int((~np.isfinite(points)).any(axis=1).sum())
    if faulty:
        raise DataError(f'{kind}, {path}, has {faulty} points with values that are not finite')
    if columns == 5:
        rings = points[:RING_SAMPLE, 4]
        if (rings != np.floor(rings)).any() or (rings < 0).any() or (rings >= MAX_RINGS).any():
            raise DataError(
                f'{kind}, {path}: the fifth column is no ring number, so its points have not {columns} columns (x, y, '
                'z, intensity, ring)'
            )
    return points


def with_time(points: NDArray, seconds: float) -> NDArray[np.float32]:
    """Return (n, 5) x, y, z, intensity and the seconds before the key-frame."""
    return np.concatenate([points[:, :4], np.full((len(points), 1), seconds)], axis=1).astype(np.float32)


def moved(points: NDArray[np.float32], transform: NDArray) -> NDArray[np.float32]:
    """Return points whose x, y, z are moved by a (4, 4) transform.

    Example:
        >>> shift = np.eye(4)
        >>> shift[:3, 3] = 1, 2, 3
        >>> moved(np.array([[1, 1, 1, 7, 0]], dtype=np.float32), shift)
        array([[2., 3., 4., 7., 0.]], dtype=float32)
    """
    result = points.copy()
    rigid = transform.astype(np.float32)
    result[:, :3] = points[:, :3] @ rigid[:3, :3].T + rigid[:3, 3]
    return result


def _as_points(cloud: NDArray[np.float32]) -> LiDARPoints:
    return LiDARPoints(torch.from_numpy(np.ascontiguousarray(cloud)), points_dim=cloud.shape[1])

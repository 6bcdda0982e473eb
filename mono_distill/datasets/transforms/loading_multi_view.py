"""Read the pictures of all cameras, of the current key-frame and of earlier ones, and place them in one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from mono_distill.datasets.nuscenes.classes import CAMERAS
from mono_distill.datasets.nuscenes.poses import invert_rigid, past2current
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, DataError


@TRANSFORMS.register_module()
class LoadMultiViewImages(BaseTransform):
    r"""Read T frames of N cameras.

    The camera of an earlier key-frame p is placed in the LiDAR frame of the current one c by the poses of the car,

    .. math:: T_{cam_p \to lidar_c} = (E_c L_c)^{-1} E_p L_p C_p^{-1},

    with :math:`E` ego to global, :math:`L` LiDAR to ego and :math:`C` LiDAR to camera of each key-frame; the car's
    motion between the LiDAR's and a camera's own time is in :math:`C`. A key-frame before the scene's start repeats
    the current one and is marked in ``frame_exists``.

    Keys added: ``img``, a list of T lists of N pictures (H, W, 3) BGR uint8; ``cam2img`` and ``cam2lidar`` (camera of
    frame t to current LiDAR) (T, N, 4, 4), ``lidar2cam`` (N, 4, 4) of the current frame, ``img_aug_matrix``
    (T, N, 4, 4) identities, ``lidar_aug_matrix`` (4, 4) identity, all float64; ``frame_exists`` (T,) bool; ``cameras``,
    ``img_path``, ``img_shape`` and ``ori_shape`` (height, width of the first picture).

    Args:
        num_frames: T; frame 0 is the current key-frame, frame t the t-th before it.
        cameras: Which cameras, in this order; None takes those of the infos, and all six of nuScenes must be there.

    Raises:
        ConfigError: ``num_frames`` is below 1, or the data set hands along fewer key-frames.
        DataError: A camera is missing, or a picture is missing, damaged or of another size than the infos say.
    """

    def __init__(self, num_frames: int = 1, cameras: Sequence[str] | None = None) -> None:
        if num_frames < 1:
            raise ConfigError(f'LoadMultiViewImages: num_frames must be at least 1, got {num_frames}')
        if cameras is not None and not cameras:
            raise ConfigError('LoadMultiViewImages: cameras must name at least one camera')
        self.num_frames = num_frames
        self.cameras = None if cameras is None else tuple(cameras)

    @property
    def past_keyframes(self) -> int:
        """Earlier key-frames that the data set must hand along."""
        return self.num_frames - 1

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the pictures."""
        past = results.get('past') or []
        if len(past) < self.past_keyframes:
            raise ConfigError(
                f'LoadMultiViewImages(num_frames={self.num_frames}) needs {self.past_keyframes} earlier key-frames, '
                f'and the data set hands along {len(past)}; give it num_past={self.past_keyframes} or more'
            )
        names = self._names(results)
        frames = [results, *past[: self.past_keyframes]]
        loaded = _Frames()
        for frame in frames:
            loaded.add(results, frame, names)
        count, views = len(frames), len(names)
        results['img'] = loaded.images
        results['cam2img'] = np.stack(loaded.cam2img)
        results['cam2lidar'] = np.stack(loaded.cam2lidar)
        results['lidar2cam'] = np.stack([results['images'][name]['lidar2cam'] for name in names])
        results['img_aug_matrix'] = np.tile(np.eye(4), (count, views, 1, 1))
        results['lidar_aug_matrix'] = np.eye(4)
        results['frame_exists'] = np.array([frame is not None for frame in frames])
        results['cameras'] = names
        results['img_path'] = [results['images'][name]['img_path'] for name in names]
        results['img_shape'] = results['ori_shape'] = loaded.images[0][0].shape[:2]
        return results

    def _names(self, results: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the cameras to read."""
        there = results['images']
        _check_cameras(results, self.cameras or CAMERAS, can_choose=self.cameras is None)
        return self.cameras or tuple(there)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_frames={self.num_frames}, cameras={self.cameras})'


class _Frames:
    """What is read of the frames, one entry each."""

    def __init__(self) -> None:
        self.images: list[list[NDArray[np.uint8]]] = []
        self.cam2img: list[NDArray[np.float64]] = []
        self.cam2lidar: list[NDArray[np.float64]] = []

    def add(self, current: Mapping[str, Any], frame: Mapping[str, Any] | None, names: Sequence[str]) -> None:
        """Read a frame, or repeat the first."""
        if frame is None:
            # Copies: whatever changes pictures in place must not do so twice.
            self.images.append([image.copy() for image in self.images[0]])
            self.cam2img.append(self.cam2img[0])
            self.cam2lidar.append(self.cam2lidar[0])
            return
        if frame is not current:
            _check_cameras(frame, names)
        views = [frame['images'][name] for name in names]
        motion = np.eye(4) if frame is current else past2current(frame, current)
        self.images.append([read_view(view, name, frame['token']) for view, name in zip(views, names, strict=True)])
        self.cam2img.append(np.stack([view['cam2img'] for view in views]))
        self.cam2lidar.append(np.stack([motion @ invert_rigid(view['lidar2cam']) for view in views]))


def _check_cameras(frame: Mapping[str, Any], names: Sequence[str], *, can_choose: bool = False) -> None:
    there = frame['images']
    missing = [name for name in names if name not in there]
    if missing:
        choice = '; or choose the cameras that every key-frame has with cameras=[...]' if can_choose else ''
        raise DataError(
            f'key-frame {frame["token"]} has no camera {", ".join(missing)}, only {", ".join(there) or "none"}; build '
            f'the infos again with `mono-distill prepare nuscenes`{choice}'
        )


def read_view(view: Mapping[str, Any], camera: str, token: str) -> NDArray[np.uint8]:
    """Read one picture.

    Args:
        view: ``img_path`` and, where known, ``height`` and ``width``.
        camera: Name of the camera, for messages.
        token: The key-frame, for messages.

    Returns:
        (H, W, 3) BGR.

    Raises:
        DataError: The file is missing, damaged or of another size.
    """
    path, where = view['img_path'], f'key-frame {token}, {camera}'
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            f'{where}: cannot read image {path} ({error.strerror}); check data_root and data_prefix, or unpack its '
            'archive again; `mono-distill prepare nuscenes` names every missing file'
        ) from error
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise DataError(
            f'{where}: image {path} is damaged ({len(content)} bytes do not decode); unpack its archive again'
        )
    expected = view.get('height', image.shape[0]), view.get('width', image.shape[1])
    if expected != image.shape[:2]:
        raise DataError(
            f'{where}: image {path} is {image.shape[1]}x{image.shape[0]}, the infos say {expected[1]}x{expected[0]}; '
            'run `mono-distill prepare nuscenes` again'
        )
    return image

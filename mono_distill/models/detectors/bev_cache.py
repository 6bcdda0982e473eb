"""Maps of earlier key-frames, kept while a scene is played, and moved into the current frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mono_distill.ops.point_sampler import Range, check_range, sample_bev
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

_POSE_KEYS = ('scene_token', 'timestamp', 'ego2global', 'lidar2ego')


class MapPose(NamedTuple):
    """Where and when a map was made.

    Attributes:
        scene: Token of its scene.
        timestamp: Seconds.
        map2global: ``(4, 4)`` float64 on the CPU: frame of the map, augmentation included, to the global frame.
    """

    scene: str
    timestamp: float
    map2global: Tensor


def map_pose(metainfo: Mapping[str, Any]) -> MapPose:
    """Read the pose of a sample's map from its meta information.

    Args:
        metainfo: ``scene_token``, ``timestamp`` (seconds), ``ego2global``, ``lidar2ego`` and, if the LiDAR frame was
            augmented, ``lidar_aug_matrix``.

    Raises:
        DataError: Something is missing.
    """
    missing = [key for key in _POSE_KEYS if metainfo.get(key) is None]
    if missing:
        raise DataError(
            f'streaming: the meta information lacks {", ".join(missing)}; end the pipeline with '
            'mono_distill.PackBEVInputs and prepare the data set with `mono-distill prepare nuscenes`.'
        )
    # Global coordinates are kilometres: float32 would round them to decimetres.
    ego, lidar, world = (
        torch.as_tensor(metainfo.get(key, torch.eye(4))).double().cpu()
        for key in ('ego2global', 'lidar2ego', 'lidar_aug_matrix')
    )
    return MapPose(str(metainfo['scene_token']), float(metainfo['timestamp']), ego @ lidar @ torch.linalg.inv(world))


class BEVCache:
    """The raw (pooled, not yet encoded) maps of the last key-frames of one scene, for streaming inference.

    Give the samples of a scene in order, one after another, each with :meth:`previous` and then :meth:`push`. A new
    scene empties the cache. It copies and pickles as an empty one.

    Args:
        num_previous: Key-frames that are remembered.
        max_gap: Seconds that the map k key-frames back may be older, divided by k. Older ones are missing, so that a
            shuffled or gappy order gives no wrong neighbours; nuScenes' key-frames are half a second apart.

    Raises:
        ConfigError: An option is not positive.
    """

    def __init__(self, num_previous: int = 1, max_gap: float = 1.0) -> None:
        if num_previous < 1 or max_gap <= 0:
            raise ConfigError(f'BEVCache: need num_previous >= 1 and max_gap > 0, got {num_previous} and {max_gap}.')
        self.num_previous, self.max_gap = num_previous, max_gap
        self._entries: deque[tuple[MapPose, Tensor]] = deque(maxlen=num_previous)

    def __len__(self) -> int:
        return len(self._entries)

    def __deepcopy__(self, memo: dict[int, Any]) -> BEVCache:
        return BEVCache(self.num_previous, self.max_gap)

    def __reduce__(self) -> tuple[type[BEVCache], tuple[int, float]]:
        return BEVCache, (self.num_previous, self.max_gap)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def push(self, pose: MapPose, bev: Tensor) -> None:
        """Remember the map ``(C, H, W)`` of the current key-frame, after :meth:`previous` has been asked."""
        if self._entries and self._entries[0][0].scene != pose.scene:
            self.clear()
        self._entries.appendleft((pose, bev.detach()))

    def previous(self, pose: MapPose) -> list[tuple[MapPose, Tensor] | None]:
        """Return pose and map of 1 .. ``num_previous`` key-frames back; ``None`` where there is none."""
        found: list[tuple[MapPose, Tensor] | None] = []
        for back, entry in enumerate(self._entries, start=1):
            gap = pose.timestamp - entry[0].timestamp
            fits = entry[0].scene == pose.scene and 0 < gap <= back * self.max_gap
            found.append(entry if fits else None)
        return found + [None] * (self.num_previous - len(found))


def warp_bev(bev: Tensor, current2source: Tensor, *, x_range: Range, y_range: Range) -> Tensor:
    r"""Move maps into another frame: bilinear, zero where the source shows nothing.

    .. math:: V'(q) = V\left(T_{1:2, 1:2}\, q + T_{1:2, 4}\right)

    for the centre q of every cell in metres (BEVDet4D, https://arxiv.org/abs/2203.17054, section 3.2). Only the planar
    part of the motion counts: roll, pitch and height are ignored, which lifting the images again would not do.

    Args:
        bev: ``(B, C, H, W)`` maps, H along y and W along x.
        current2source: ``(B, 4, 4)``, frame of the result to frame of the map.
        x_range: x of the left edge of column 0 and of the right edge of the last column, metres.
        y_range: The same for the rows.

    Returns:
        ``(B, C, H, W)``.

    Raises:
        ShapeError: The matrices do not fit the maps.
        ConfigError: A range is empty.

    Example:
        >>> step = torch.eye(4).unsqueeze(0)
        >>> step[0, 0, 3] = 1.0
        >>> warp_bev(torch.tensor([[[[1.0, 2.0, 3.0]]]]), step, x_range=(0, 3), y_range=(0, 1))
        tensor([[[[2., 3., 0.]]]])
    """
    if bev.dim() != 4 or tuple(current2source.shape) != (bev.shape[0], 4, 4):
        raise ShapeError(
            f'warp_bev: expected maps (B, C, H, W) and matrices (B, 4, 4), got {tuple(bev.shape)} and '
            f'{tuple(current2source.shape)}.'
        )
    check_range(x_range, 'x_range')
    check_range(y_range, 'y_range')
    height, width = bev.shape[2:]
    rows = (torch.arange(height, device=bev.device) + 0.5) * ((y_range[1] - y_range[0]) / height) + y_range[0]
    columns = (torch.arange(width, device=bev.device) + 0.5) * ((x_range[1] - x_range[0]) / width) + x_range[0]
    y, x = torch.meshgrid(rows, columns, indexing='ij')
    centres = torch.stack([x, y], -1).flatten(0, 1)
    motion = current2source.to(bev.device, torch.float32)
    source = centres @ motion[:, :2, :2].transpose(1, 2) + motion[:, None, :2, 3]
    sampled = sample_bev(bev, source, x_range=x_range, y_range=y_range)
    return sampled.transpose(1, 2).unflatten(2, (height, width))

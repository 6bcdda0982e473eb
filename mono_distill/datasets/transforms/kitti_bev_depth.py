"""LiDAR depth on the coarse grid of a network's features."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from mono_distill.datasets.kitti.depth_maps import project_lidar_to_depth
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, DataError


@TRANSFORMS.register_module()
class KittiBEVDepth(BaseTransform):
    """Reduce LiDAR depth to cells of ``downsample`` x ``downsample`` pixels.

    Pixels without depth do not count. The official MonoTAKD code (``depth_ffn_TAKD.py``) takes the mean of the others;
    the default here is the nearest, as in BEVDepth: at the border of an object the mean lies between the object and
    what is behind it, where nothing is. Cells start at the upper left corner, and those at the lower and right border
    may reach beyond the picture. Place it last of all that move pixels or points: the camera matrices are those of the
    sample at that moment.

    Key added: gt_depth (h, w) float32, metres (z of the rectified camera frame), 0 where nothing was measured.

    Args:
        downsample: Pixels per cell and direction.
        source: ``'points'`` projects the loaded points; ``'depth_map'`` takes the map of ``LoadDepthMap``, whose
            completed form is dense, as the maps that the official code reads for annotated frames.
        reduce: ``'min'``, or ``'mean'`` as officially.

    Raises:
        ConfigError: An option is unknown.
        DataError: What ``source`` names was not loaded; the message names the frame.
    """

    def __init__(self, downsample: int = 8, source: str = 'points', *, reduce: str = 'min') -> None:
        if downsample < 1 or source not in ('points', 'depth_map') or reduce not in ('min', 'mean'):
            raise ConfigError(
                "KittiBEVDepth: expected downsample >= 1, source 'points' or 'depth_map', reduce 'min' or 'mean', got "
                f'downsample={downsample}, source={source!r}, reduce={reduce!r}'
            )
        self.downsample, self.source, self.reduce = downsample, source, reduce

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make the coarse map."""
        if self.source not in results:
            loader = 'LoadKittiBEVPoints' if self.source == 'points' else 'LoadDepthMap'
            raise DataError(
                f'KittiBEVDepth: frame {results.get("sample_id", "?")} has no {self.source}; put {loader} before it'
            )
        if self.source == 'points':
            points = np.asarray(results['points'].tensor[:, :3], dtype=np.float64)
            shape = tuple(results['img_shape'] if 'img_shape' in results else results['ori_shape'])
            depth = project_lidar_to_depth(points, results['lidar2cam'], results['cam2img'], shape=shape[:2])
        else:
            depth = results['depth_map']
        results['gt_depth'] = depth_cells(depth, self.downsample, self.reduce)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(downsample={self.downsample}, source={self.source!r}, reduce={self.reduce!r})'


def depth_cells(depth: NDArray, downsample: int, reduce: str = 'min') -> NDArray[np.float32]:
    """Reduce a depth map to cells, over the pixels that have a depth.

    Args:
        depth: (H, W) metres, 0 where nothing was measured.
        downsample: Pixels per cell and direction.
        reduce: ``'min'`` or ``'mean'``.

    Returns:
        (ceil(H / downsample), ceil(W / downsample)) float32, 0 for empty cells.

    Example:
        >>> depth_cells(np.array([[4.0, 0.0, 9.0], [0.0, 8.0, 0.0]]), 2, 'mean').tolist()
        [[6.0, 9.0]]
    """
    height, width = depth.shape
    rows, columns = -(-height // downsample), -(-width // downsample)
    padded = np.zeros((rows * downsample, columns * downsample), dtype=np.float64)
    padded[:height, :width] = depth
    cells = padded.reshape(rows, downsample, columns, downsample)
    known = cells > 0
    if reduce == 'min':
        nearest = np.where(known, cells, np.inf).min((1, 3))
        return np.where(np.isinf(nearest), 0.0, nearest).astype(np.float32)
    return (cells.sum((1, 3)) / np.maximum(known.sum((1, 3)), 1)).astype(np.float32)

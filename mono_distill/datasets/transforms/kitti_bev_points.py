"""LiDAR points of a KITTI frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet3d.structures.points import LiDARPoints
from numpy.typing import NDArray

from mono_distill.datasets.kitti.projection import pixel_indices, project_cam_to_img, transform_points
from mono_distill.datasets.kitti.velodyne import read_velodyne
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import DataError


@TRANSFORMS.register_module()
class LoadKittiBEVPoints(BaseTransform):
    """Read ``lidar_path`` as ``LiDARPoints`` (n, 4) x, y, z, reflectance and keep what the camera sees.

    KITTI annotates what its left colour camera sees, so detectors are trained and evaluated on these points only. Place
    it before transforms that flip or resize: the view is that of ``lidar2cam``, ``cam2img`` and ``ori_shape``.

    Key added: points.

    Args:
        in_view: Whether to keep only the points that project into the picture.

    Raises:
        DataError: The infos name no scan, or the file is missing or damaged; the message names the frame.
    """

    def __init__(self, in_view: bool = True) -> None:
        self.in_view = in_view

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the scan."""
        path, frame = results.get('lidar_path'), results.get('sample_id', '?')
        if not path:
            raise DataError(
                f'frame {frame}: the infos name no LiDAR scan; put training/velodyne into the data root and run '
                '`mono-distill prepare kitti` again'
            )
        try:
            points = read_velodyne(path)
        except DataError as error:
            raise DataError(f'frame {frame}: {error}') from error
        if self.in_view:
            shape = (int(results['ori_shape'][0]), int(results['ori_shape'][1]))
            points = points[in_view(points, results['lidar2cam'], results['cam2img'], shape)]
        # Copied: what is read from a file cannot be written, and a flip writes.
        results['points'] = LiDARPoints(np.array(points, dtype=np.float32), points_dim=4)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(in_view={self.in_view})'


def in_view(points: NDArray, lidar2cam: NDArray, cam2img: NDArray, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Say which points of the LiDAR frame project into a picture.

    Args:
        points: (N, 3 or more) metres.
        lidar2cam: (4, 4) LiDAR to camera.
        cam2img: (4, 4) camera to pixels.
        shape: Height and width of the picture.

    Returns:
        (N,) bool.
    """
    pixels, _ = project_cam_to_img(transform_points(points[:, :3], lidar2cam), cam2img)
    inside, _ = pixel_indices(pixels, shape)
    return inside

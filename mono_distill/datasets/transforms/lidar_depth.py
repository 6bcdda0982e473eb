"""Depth seen by every cell of the camera features, from the LiDAR points of the key-frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from mono_distill.datasets.transforms.multi_view_keys import checked_range, need
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, ShapeError

_NEAREST = 1e-3


@TRANSFORMS.register_module()
class LidarDepthTargets(BaseTransform):
    r"""Project the key-frame's points into the augmented pictures and keep the nearest of each cell (BEVDepth).

    .. math::
        d\,(u', v', 1)^T = K\, T_\text{lidar→cam}\, p, \qquad (u, v) = R\,(u', v') + t, \qquad
        D[i, j] = \min \{ d : \lfloor (v + \tfrac12) / s \rfloor = i, \lfloor (u + \tfrac12) / s \rfloor = j \}

    with s = ``downsample``; pixel centres are whole numbers, so that a cell begins half a pixel before its first. A
    point counts if it is in front of the camera and its pixel lies both in the original picture and in the input: in
    the black border that augmentation leaves there is nothing to see. A cell whose nearest point is outside
    ``depth_range`` has no depth, as in the released code (``base_exp.py`` of BEVDepth), which differs in one point: it
    rasterises full-size maps first, in which of two points in one pixel the last one wins, not the nearer.

    Depth is measured along the camera's axis, so the augmentation of the world does not change it; but the points
    would no longer project to their pixels, so this comes before :class:`mono_distill.datasets.BEVGlobalAug`.

    Keys read: points, of which those with dt 0 (column 4; all where there is no such column) are the key-frame's;
    img, lidar2cam (N, 4, 4), cam2img and img_aug_matrix (T, N, 4, 4; frame 0), img_ori_shape where present.
    Keys written: gt_depth (N, H / downsample, W / downsample) float32 metres, 0 where there is none.

    Args:
        downsample: Size of a cell, pixels; height and width of the pictures must be multiples of it.
        depth_range: Depths that are kept, metres: lower bound included, upper excluded.

    Raises:
        ConfigError: An argument is out of range, a key is missing, or the world is augmented already.
        ShapeError: The pictures differ in size or do not divide into cells.
    """

    def __init__(self, downsample: int = 16, depth_range: Sequence[float] = (2.0, 58.0)) -> None:
        if int(downsample) != downsample or downsample < 1:
            raise ConfigError(f'LidarDepthTargets: downsample must be a positive integer, got {downsample}')
        self.downsample = int(downsample)
        self.depth_range = checked_range('depth_range', depth_range, transform='LidarDepthTargets')
        if self.depth_range[0] < 0 or self.depth_range[0] == self.depth_range[1]:
            raise ConfigError(
                f'LidarDepthTargets: depth_range must be (near, far) with 0 <= near < far, got {depth_range}'
            )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make the depth maps."""
        need(results, 'points', 'img', 'lidar2cam', 'cam2img', 'img_aug_matrix', transform='LidarDepthTargets')
        if not np.allclose(results.get('lidar_aug_matrix', np.eye(4)), np.eye(4)):
            raise ConfigError('LidarDepthTargets must come before BEVGlobalAug: the points are already augmented')
        height, width = self._size(results['img'][0])
        points = results['points'].tensor.detach().cpu().numpy()
        if points.shape[1] > 4:
            points = points[points[:, 4] == 0]
        depth, pixels, visible = project_points(
            points[:, :3],
            np.asarray(results['lidar2cam'], dtype=np.float64),
            np.asarray(results['cam2img'], dtype=np.float64)[0],
            np.asarray(results['img_aug_matrix'], dtype=np.float64)[0],
            sizes=results.get('img_ori_shape', np.array([image.shape[:2] for image in results['img'][0]])),
        )
        nearest = nearest_depth(depth, pixels, visible, (height, width), self.downsample)
        inside = (nearest >= self.depth_range[0]) & (nearest < self.depth_range[1])
        results['gt_depth'] = np.where(inside, nearest, 0).astype(np.float32)
        return results

    def _size(self, images: Sequence[NDArray[Any]]) -> tuple[int, int]:
        sizes = {tuple(image.shape[:2]) for image in images}
        if len(sizes) != 1:
            raise ShapeError(
                f'LidarDepthTargets: the cameras differ in size, {sorted(sizes)}; put mono_distill.MultiViewImageAug '
                'before it in the pipeline'
            )
        height, width = sizes.pop()
        if height % self.downsample or width % self.downsample:
            raise ShapeError(
                f'LidarDepthTargets: pictures of {height} x {width} do not divide into cells of {self.downsample}; '
                'choose a size that is a multiple of downsample'
            )
        return height, width

    def __repr__(self) -> str:
        return f'{type(self).__name__}(downsample={self.downsample}, depth_range={self.depth_range})'


def project_points(
    points: NDArray[np.floating],
    lidar2cam: NDArray[np.float64],
    cam2img: NDArray[np.float64],
    img_aug_matrix: NDArray[np.float64],
    *,
    sizes: NDArray[np.integer],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Project points into several augmented pictures at once.

    Args:
        points: (P, 3) LiDAR frame without augmentation, metres.
        lidar2cam: (N, 4, 4).
        cam2img: (N, 4, 4) intrinsics of the original pictures.
        img_aug_matrix: (N, 4, 4) original to augmented pixels.
        sizes: (N, 2) height and width of the original pictures.

    Returns:
        Depths (N, P), augmented pixels (N, 2, P), and whether the original pixel exists (N, P); pixels of points for
        which it does not are meaningless.
    """
    homogeneous = np.concatenate([points.T, np.ones((1, len(points)))]).astype(np.float64)
    image = (cam2img @ lidar2cam)[:, :3] @ homogeneous
    depth = image[:, 2]
    front = depth > _NEAREST
    pixels = image[:, :2] / np.where(front, depth, 1.0)[:, None]
    bounds = np.asarray(sizes, dtype=np.float64)[:, ::-1, None]
    visible = front & ((pixels >= -0.5) & (pixels < bounds - 0.5)).all(axis=1)
    return depth, img_aug_matrix[:, :2, :2] @ pixels + img_aug_matrix[:, :2, 3:], visible


def nearest_depth(
    depth: NDArray[np.float64],
    pixels: NDArray[np.float64],
    visible: NDArray[np.bool_],
    size: tuple[int, int],
    downsample: int,
) -> NDArray[np.float64]:
    """Return the (N, H / downsample, W / downsample) smallest depth of each cell, infinite where there is none.

    Args:
        depth: (N, P) metres.
        pixels: (N, 2, P) columns and rows.
        visible: (N, P) which of them count; those outside the picture never do.
        size: Height and width of the pictures.
        downsample: Size of a cell, pixels.
    """
    rows, columns = size[0] // downsample, size[1] // downsample
    # From the outer corner of the picture, half a pixel before the centre of the first one.
    pixels = pixels + 0.5
    inside = visible & (pixels >= 0).all(axis=1) & (pixels[:, 0] < size[1]) & (pixels[:, 1] < size[0])
    camera, point = np.nonzero(inside)
    cells = (pixels[camera, :, point] / downsample).astype(np.int64)
    nearest = np.full(len(depth) * rows * columns, np.inf)
    np.minimum.at(nearest, (camera * rows + cells[:, 1]) * columns + cells[:, 0], depth[camera, point])
    return nearest.reshape(len(depth), rows, columns)

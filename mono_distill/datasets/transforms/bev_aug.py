"""Rotate, scale, mirror and shift the world around the car by one matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray
from torch import Tensor

from mono_distill.datasets.transforms.multi_view_keys import checked_range
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, ShapeError


@TRANSFORMS.register_module()
class BEVGlobalAug(BaseTransform):
    r"""Draw one matrix per sample and apply it to everything in the LiDAR frame ("BDA" of BEVDet and BEVDepth).

    .. math:: G = F\, T\, S\, R, \qquad p' = G\, p

    for column vectors: first the rotation R about z, then the scale S, the shift T and the mirroring F. Points, past
    points and boxes are moved; ``lidar_aug_matrix`` becomes G times what it was. The pictures stay as they are: a
    network lifts their pixels with ``lidar_aug_matrix @ cam2lidar``, so features and points meet in one frame.

    Of a box the centre moves by G, the size is scaled, the heading direction and the velocity are multiplied with the
    upper left 2 x 2 of G (a mirrored y turns yaw to -yaw, a mirrored x to pi - yaw; the velocity is scaled too).

    Keys read, all where present: points, past_points, gt_bboxes_3d, lidar_aug_matrix (identity where absent). New
    objects are written, those that came in are not changed.

    Args:
        rotate: Range of the angle, degrees, counterclockwise seen from above.
        scale: Range of the factor.
        flip_x: Probability of mirroring x (left and right).
        flip_y: Probability of mirroring y (ahead and behind).
        translate_std: Standard deviation of the shift, metres: one number or three (x, y, z).

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: Boxes are not LiDAR boxes of 7 or 9 numbers.
    """

    def __init__(
        self,
        rotate: Sequence[float] = (-22.5, 22.5),
        scale: Sequence[float] = (0.95, 1.05),
        *,
        flip_x: float = 0.5,
        flip_y: float = 0.5,
        translate_std: float | Sequence[float] = 0.0,
    ) -> None:
        self.rotate = checked_range('rotate', rotate, transform='BEVGlobalAug')
        self.scale = checked_range('scale', scale, transform='BEVGlobalAug')
        if self.scale[0] <= 0:
            raise ConfigError(f'BEVGlobalAug: scale must be positive, got {scale}')
        for name, value in (('flip_x', flip_x), ('flip_y', flip_y)):
            if not 0 <= value <= 1:
                raise ConfigError(f'BEVGlobalAug: {name} is a probability in [0, 1], got {value}')
        deviations = np.atleast_1d(np.asarray(translate_std, dtype=np.float64))
        if deviations.shape not in ((1,), (3,)) or not (np.isfinite(deviations) & (deviations >= 0)).all():
            raise ConfigError(f'BEVGlobalAug: translate_std must be one or three lengths >= 0, got {translate_std}')
        self.flip_x, self.flip_y = float(flip_x), float(flip_y)
        self.translate_std = np.broadcast_to(deviations, 3)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw the matrix and apply it."""
        matrix = self.draw()
        if 'points' in results:
            results['points'] = move_points(results['points'], matrix)
        if 'past_points' in results:
            results['past_points'] = [move_points(points, matrix) for points in results['past_points']]
        if 'gt_bboxes_3d' in results:
            boxes = results['gt_bboxes_3d']
            moved = move_boxes(boxes.tensor, matrix)
            results['gt_bboxes_3d'] = type(boxes)(moved, box_dim=moved.shape[1])
        results['lidar_aug_matrix'] = matrix @ np.asarray(results.get('lidar_aug_matrix', np.eye(4)), np.float64)
        return results

    def draw(self) -> NDArray[np.float64]:
        """Draw G (4, 4) from ``numpy.random``."""
        angle, scale = np.random.uniform(*self.rotate), np.random.uniform(*self.scale)
        signs = [-1.0 if np.random.uniform() < chance else 1.0 for chance in (self.flip_x, self.flip_y)]
        shift = np.random.normal(size=3) * self.translate_std
        return world_matrix(angle, scale, flip=(signs[0] < 0, signs[1] < 0), shift=shift)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(rotate={self.rotate}, scale={self.scale}, flip_x={self.flip_x}, '
            f'flip_y={self.flip_y}, translate_std={self.translate_std.tolist()})'
        )


def world_matrix(
    angle: float = 0.0,
    scale: float = 1.0,
    *,
    flip: tuple[bool, bool] = (False, False),
    shift: Sequence[float] | NDArray[np.float64] = (0.0, 0.0, 0.0),
) -> NDArray[np.float64]:
    """Return G = F T S R (4, 4).

    Args:
        angle: Degrees, counterclockwise.
        scale: Factor.
        flip: Whether x and whether y is mirrored.
        shift: Metres, along x, y, z; before the mirroring.

    Example:
        >>> world_matrix(90.0, 2.0, flip=(True, False), shift=(0, 0, 1))[:3].round(6).astype(int).tolist()
        [[0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 2, 1]]
    """
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    matrix = np.eye(4)
    matrix[:3, :3] = scale * np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    matrix[:3, 3] = shift
    return np.diag([-1.0 if flip[0] else 1.0, -1.0 if flip[1] else 1.0, 1.0, 1.0]) @ matrix


def move_points(points: Any, matrix: NDArray[np.float64]) -> Any:
    """Return points of mmdet3d moved by a 4x4 matrix; their other columns stay, the input is not changed."""
    affine = torch.from_numpy(matrix).to(points.tensor)
    moved = points.clone()
    moved.tensor[:, :3] = points.tensor[:, :3] @ affine[:3, :3].T + affine[:3, 3]
    return moved


def move_boxes(boxes: Tensor, matrix: NDArray[np.float64]) -> Tensor:
    """Move LiDAR boxes by a matrix made of a rotation about z, mirrorings, one factor and a shift.

    Args:
        boxes: (G, 7 or 9) x, y, z of the bottom, dx, dy, dz, yaw and, where present, the velocity vx, vy.
        matrix: (4, 4), see :func:`world_matrix`. Its inverse moves the boxes back.

    Returns:
        New boxes; yaw in (-pi, pi].

    Raises:
        ShapeError: The boxes have neither 7 nor 9 numbers.

    Example:
        >>> box = torch.tensor([[1.0, 2.0, 0.0, 4.0, 2.0, 1.5, 0.25, 3.0, 0.0]])
        >>> move_boxes(box, world_matrix(flip=(False, True)))[0, [0, 1, 6, 7, 8]].tolist()
        [1.0, -2.0, -0.25, 3.0, 0.0]
    """
    if boxes.ndim != 2 or boxes.shape[1] not in (7, 9):
        raise ShapeError(f'boxes must be (G, 7) or (G, 9) LiDAR boxes, got {tuple(boxes.shape)}')
    values, affine = boxes.double(), torch.from_numpy(matrix).to(boxes.device, torch.float64)
    plane = affine[:2, :2]
    scale = plane.det().abs().sqrt()
    heading = torch.stack([values[:, 6].cos(), values[:, 6].sin()], dim=1) @ plane.T
    parts = [
        values[:, :3] @ affine[:3, :3].T + affine[:3, 3],
        values[:, 3:6] * scale,
        torch.atan2(heading[:, 1:], heading[:, :1]),
        values[:, 7:9] @ plane.T if boxes.shape[1] == 9 else values[:, :0],
    ]
    return torch.cat(parts, dim=1).to(boxes.dtype)

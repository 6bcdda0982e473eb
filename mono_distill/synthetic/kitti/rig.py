"""The car with the sensors: KITTI's calibration numbers, varied a little from sequence to sequence.

Source of the numbers and of the rig's measures: the calibration files of the KITTI object benchmark and the sensor
set-up of Geiger et al., "Vision meets Robotics: The KITTI Dataset", IJRR 2013, figure 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.mesh import pose_matrix
from mono_distill.synthetic.scene import Scene

FULL_SHAPE = (375, 1242)
# Focal length and principal point of KITTI's recording days, pixels.
INTRINSICS = ((721.5377, 609.5593, 172.854), (707.0493, 604.0814, 180.5066), (718.335, 600.3891, 181.5122))
# Distance of the right cameras from the left ones, and of the colour camera 2 from the grey camera 0 (x, y, z), metres.
BASELINE = 0.5372
CAMERA2_OFFSET = (0.0598, 0.0003, 0.0027)
# The cameras stand this far ahead of the rear axle, the LiDAR this far above the ground, metres.
CAMERA_FORWARD = 1.03
LIDAR_HEIGHT = 1.73
# LiDAR to camera 0, rotation by small angles (radians) and offset (metres) besides the change of axes. The offset
# along the camera's y follows from the two heights.
LIDAR_ANGLES = (-0.0148, 0.0075, -0.0007)
LIDAR_OFFSET = (-0.004, -0.272)
# Camera 0 to the rectified frame, small angles (radians).
RECTIFICATION_ANGLES = (0.0044, -0.0074, -0.0099)
# IMU to LiDAR, metres and radians.
IMU_OFFSET = (-0.8087, 0.3196, -0.7997)
IMU_ANGLES = (0.0148, -0.002, -0.0008)
# x forward, y left, z up to x right, y down, z forward.
AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])

# Spread of the numbers between sequences: share of the focal length, pixels, metres, radians.
FOCAL_SPREAD, CENTRE_SPREAD, OFFSET_SPREAD, ANGLE_SPREAD = 0.004, 2.0, 0.004, 0.0015


@dataclass(frozen=True)
class KittiRig:
    """Cameras and LiDAR of one sequence.

    Attributes:
        matrices: The matrices of a calibration file by name, (3, 4) or (3, 3) float64, already scaled to the image.
        cam2ego: (4, 4) pose of the rectified camera frame, in which labels are given, in the ego frame.
        shape: Height and width of the image, pixels.
    """

    matrices: Mapping[str, NDArray[np.float64]]
    cam2ego: NDArray[np.float64]
    shape: tuple[int, int]

    @property
    def lidar2cam(self) -> NDArray[np.float64]:
        """(4, 4) LiDAR to the rectified camera frame."""
        return _homogeneous(self.matrices['R0_rect']) @ _homogeneous(self.matrices['Tr_velo_to_cam'])

    @property
    def lidar2ego(self) -> NDArray[np.float64]:
        """(4, 4) pose of the LiDAR in the ego frame."""
        return self.cam2ego @ self.lidar2cam

    def calibration_text(self) -> str:
        """Return the content of the calibration file, in KITTI's order and with its number of digits."""
        lines = [
            f'{name}: ' + ' '.join(f'{value:.12e}' for value in matrix.ravel())
            for name, matrix in self.matrices.items()
        ]
        return '\n'.join(lines) + '\n\n'


def build_rig(scene: Scene, rng: np.random.Generator, *, image_scale: float = 1.0) -> KittiRig:
    """Return the rig of a sequence.

    Args:
        scene: Gives the camera's height, pitch and roll.
        rng: Draws the sequence's variation.
        image_scale: Size of the images relative to KITTI's 375x1242.
    """
    projections = _projections(rng)
    scaling = image_scaling(image_scale)
    matrices = {name: scaling @ matrix for name, matrix in projections.items()}
    rectification = small_rotation(_vary(rng, RECTIFICATION_ANGLES, ANGLE_SPREAD))
    matrices['R0_rect'] = rectification
    offset = [LIDAR_OFFSET[0], scene.camera_height - LIDAR_HEIGHT, LIDAR_OFFSET[1]]
    lidar2cam0 = np.eye(4)
    lidar2cam0[:3, :3] = small_rotation(_vary(rng, LIDAR_ANGLES, ANGLE_SPREAD)) @ AXES
    lidar2cam0[:3, 3] = _vary(rng, offset, OFFSET_SPREAD)
    matrices['Tr_velo_to_cam'] = lidar2cam0[:3]
    imu2lidar = np.eye(4)
    imu2lidar[:3, :3] = small_rotation(_vary(rng, IMU_ANGLES, ANGLE_SPREAD))
    imu2lidar[:3, 3] = _vary(rng, IMU_OFFSET, OFFSET_SPREAD)
    matrices['Tr_imu_to_velo'] = imu2lidar[:3]
    mount = pose_matrix(CAMERA_FORWARD, 0, scene.camera_height, 0, scene.camera_pitch, scene.camera_roll)
    return KittiRig(matrices, mount @ _homogeneous(AXES.T), image_shape(image_scale))


def image_shape(scale: float) -> tuple[int, int]:
    """Return height and width of a scaled image, pixels.

    Example:
        >>> image_shape(0.25)
        (94, 310)
    """
    return max(1, round(FULL_SHAPE[0] * scale)), max(1, round(FULL_SHAPE[1] * scale))


def image_scaling(scale: float) -> NDArray[np.float64]:
    """Return the (3, 3) map from pixels of the full image to pixels of the scaled one.

    Integer coordinates are pixel centres, so the image begins at -0.5: (u, v) goes to scale (u + 0.5) - 0.5.

    Example:
        >>> image_scaling(0.25) @ np.array([-0.5, 1.5, 1.0])
        array([-0.5,  0. ,  1. ])
    """
    shift = (scale - 1) / 2
    return np.array([[scale, 0.0, shift], [0.0, scale, shift], [0.0, 0.0, 1.0]])


def small_rotation(angles: NDArray | tuple[float, float, float]) -> NDArray[np.float64]:
    """Return the (3, 3) rotation about x, then y, then z by angles in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def _projections(rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Return P0 to P3 of the full image, (3, 4): two grey, two colour cameras that share their intrinsics."""
    focal, centre_u, centre_v = INTRINSICS[rng.integers(len(INTRINSICS))]
    focal *= 1 + FOCAL_SPREAD * rng.uniform(-1, 1)
    centre = np.array([centre_u, centre_v]) + CENTRE_SPREAD * rng.uniform(-1, 1, 2)
    intrinsic = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    baseline = BASELINE + OFFSET_SPREAD * rng.uniform(-1, 1)
    colour = np.array(CAMERA2_OFFSET) * rng.uniform(0.8, 1.2, 3) * [1, rng.choice([-1, 1]), 1]
    right = np.array([-baseline, 0, 0])
    offsets = {'P0': np.zeros(3), 'P1': right, 'P2': colour, 'P3': right + colour * [1, 10, 1]}
    return {name: intrinsic @ np.column_stack([np.eye(3), offset]) for name, offset in offsets.items()}


def _vary(rng: np.random.Generator, values: tuple[float, ...] | list[float], spread: float) -> NDArray[np.float64]:
    return np.asarray(values) + spread * rng.uniform(-1, 1, len(values))


def _homogeneous(matrix: NDArray) -> NDArray[np.float64]:
    """Extend a (3, 3) or (3, 4) matrix to (4, 4)."""
    result = np.eye(4)
    result[:3, : matrix.shape[1]] = matrix
    return result

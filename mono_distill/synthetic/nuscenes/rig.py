"""The sensors of nuScenes' car and where they are mounted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyquaternion import Quaternion

from mono_distill.synthetic.mesh import pose_matrix
from mono_distill.synthetic.nuscenes.streams import Stream, generator

FULL_SHAPE = (900, 1600)
LIDAR = 'LIDAR_TOP'


@dataclass(frozen=True)
class CameraNumbers:
    """One camera as nuScenes calibrated it on one of its cars.

    Attributes:
        translation: Position in the ego frame, metres.
        rotation: Camera to ego as a quaternion w, x, y, z.
        focal: Focal length at 1600x900, pixels.
        center: Principal point at 1600x900, pixels.
        trigger: When the shutter opens relative to the LiDAR's time stamp, microseconds.
    """

    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    focal: float
    center: tuple[float, float]
    trigger: int


# From sample ca9a282c9e77460f8360f564131a8af5 of nuScenes.
CAMERAS = {
    'CAM_FRONT': CameraNumbers(
        (1.7008, 0.0159, 1.511), (0.499802, -0.503032, 0.49978, -0.497371), 1266.417, (816.267, 491.507), -35491
    ),
    'CAM_FRONT_RIGHT': CameraNumbers(
        (1.5508, -0.4934, 1.4957), (0.206035, -0.202694, 0.682451, -0.671361), 1260.847, (807.968, 495.334), -27612
    ),
    'CAM_BACK_RIGHT': CameraNumbers(
        (1.0149, -0.4806, 1.5624), (0.12281, -0.132401, -0.700431, 0.690496), 1259.514, (807.253, 501.196), -20058
    ),
    'CAM_BACK': CameraNumbers(
        (0.0283, 0.0035, 1.5791), (0.503787, -0.497402, -0.494185, 0.50455), 809.221, (829.22, 481.778), -10426
    ),
    'CAM_BACK_LEFT': CameraNumbers(
        (1.0357, 0.4848, 1.591), (0.692419, -0.703162, -0.116483, 0.112033), 1256.741, (792.113, 492.776), -528
    ),
    'CAM_FRONT_LEFT': CameraNumbers(
        (1.5239, 0.4946, 1.5093), (0.675727, -0.673627, 0.21214, -0.211228), 1272.598, (826.615, 479.752), -43107
    ),
}
LIDAR_TRANSLATION = (0.9437, 0.0, 1.8402)
LIDAR_ROTATION = (0.707796, -0.006492, 0.010646, -0.706286)
CHANNELS = (*CAMERAS, LIDAR)

# How much the mounting differs from car to car: metres, radians, and shares of the focal length.
MOUNT_SHIFT = 0.01
MOUNT_TURN = 0.004
FOCAL_SPREAD = 0.003


@dataclass(frozen=True)
class Mount:
    """A sensor on the car of one scene.

    Attributes:
        channel: nuScenes' name of the sensor.
        sensor2ego: (4, 4) pose in the ego frame.
        cam2img: (3, 3) intrinsics of the scaled image; None for the LiDAR.
        trigger: Time relative to the LiDAR's, microseconds.
    """

    channel: str
    sensor2ego: NDArray[np.float64]
    cam2img: NDArray[np.float64] | None
    trigger: int


def image_shape(image_scale: float) -> tuple[int, int]:
    """Return height and width of the images.

    Example:
        >>> image_shape(0.5)
        (450, 800)
    """
    return round(FULL_SHAPE[0] * image_scale), round(FULL_SHAPE[1] * image_scale)


def scene_rig(seed: int, index: int, image_scale: float) -> dict[str, Mount]:
    """Return the sensors of a scene by channel; each scene's calibration differs a little.

    Args:
        seed: Of the data set.
        index: Number of the scene.
        image_scale: Size of the images relative to 1600x900.
    """
    rng = generator(seed, index, 0, Stream.RIG)
    mounts = {}
    for channel, numbers in CAMERAS.items():
        focal = numbers.focal * (1 + FOCAL_SPREAD * _draw(rng))
        cam2img = np.array([[focal, 0, numbers.center[0]], [0, focal, numbers.center[1]], [0, 0, 0]]) * image_scale
        cam2img[2, 2] = 1
        pose = _mounted(numbers.translation, numbers.rotation, rng)
        mounts[channel] = Mount(channel, pose, cam2img, numbers.trigger)
    mounts[LIDAR] = Mount(LIDAR, _mounted(LIDAR_TRANSLATION, LIDAR_ROTATION, rng), None, 0)
    return mounts


def _mounted(
    translation: tuple[float, ...], rotation: tuple[float, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the pose with this car's own small shift and turn."""
    pose = np.eye(4)
    pose[:3, :3] = Quaternion(rotation).rotation_matrix
    turn = pose_matrix(0, 0, 0, *(MOUNT_TURN * _draw(rng) for _ in range(3)))
    pose = turn @ pose
    pose[:3, 3] = np.array(translation) + [MOUNT_SHIFT * _draw(rng) for _ in range(3)]
    return pose


def _draw(rng: np.random.Generator) -> float:
    """Draw from a normal distribution without its tails."""
    return float(np.clip(rng.standard_normal(), -2, 2))

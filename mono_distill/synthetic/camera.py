"""A camera: rays through its pixels, anti-aliasing where surfaces meet, exposure and sensor noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.raycast import Hits, RayCaster
from mono_distill.synthetic.scene import Environment
from mono_distill.synthetic.shading import shade
from mono_distill.utils.errors import ShapeError

# Where a pixel is seen again if surfaces meet in it: a rotated grid, in pixels from its centre.
SUB_PIXELS = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))
# Neighbouring pixels that differ by more than this share of their depth lie on different surfaces.
DEPTH_STEP = 0.04
# Blur of the lens at full resolution (focal length above FULL_FOCAL), standard deviation in pixels.
BLUR = 0.55
FULL_FOCAL = 500.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; integer pixel coordinates are pixel centres.

    Attributes:
        cam2img: (3, 3), (3, 4) or (4, 4) projection of the camera frame (x right, y down, z forward, metres) to
            pixels. A fourth column, as in KITTI's ``P2``, is honoured: the pinhole then is not the frame's origin.
        cam2world: (4, 4) pose of the camera frame.
        shape: Height and width, pixels.
    """

    cam2img: NDArray[np.float64]
    cam2world: NDArray[np.float64]
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        if np.shape(self.cam2img) not in ((3, 3), (3, 4), (4, 4)):
            raise ShapeError(f'Camera.cam2img must be (3, 3), (3, 4) or (4, 4), got {np.shape(self.cam2img)}')

    @property
    def pinhole(self) -> NDArray[np.float64]:
        """(3,) where all rays start, in the camera frame, metres."""
        matrix = np.asarray(self.cam2img, dtype=np.float64)
        if matrix.shape == (3, 3):
            return np.zeros(3)
        return -np.linalg.solve(matrix[:3, :3], matrix[:3, 3])

    def directions(self, pixels: NDArray) -> NDArray[np.float64]:
        """Return unit vectors (N, 3) in the camera frame through pixels (N, 2)."""
        inverse = np.linalg.inv(np.asarray(self.cam2img, dtype=np.float64)[:3, :3])
        rays = pixels @ inverse[:, :2].T + inverse[:, 2]
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)


@dataclass(frozen=True)
class Rendering:
    """What the camera sees.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        depth: (H, W) float32 z of the camera frame, metres; 0 for the sky. Through pixel centres.
        actor: (H, W) int16 index into the scene's actors, -1 for none. Through pixel centres.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    actor: NDArray[np.int16]


def render(caster: RayCaster, camera: Camera, rng: np.random.Generator) -> Rendering:
    """Take a picture.

    Args:
        caster: The scene at this moment.
        camera: The camera.
        rng: Draws sensor noise.
    """
    height, width = camera.shape
    v, u = np.mgrid[:height, :width]
    pixels = np.stack([u.ravel(), v.ravel()], axis=1).astype(np.float64)
    pixel_angle = 1.0 / float(camera.cam2img[0, 0])
    view = _View(caster, camera, pixel_angle)
    hits, forward, colors = view.look(pixels)
    depth = np.where(hits.triangle < 0, 0, camera.pinhole[2] + forward * np.where(hits.triangle < 0, 0, hits.distance))
    depth = depth.astype(np.float32).reshape(height, width)
    again = np.flatnonzero(_meeting(caster, hits, depth).ravel())
    if len(again):
        total = np.zeros((len(again), 3), dtype=np.float32)
        for offset in SUB_PIXELS:
            total += view.look(pixels[again] + offset)[2]
        colors[again] = total / len(SUB_PIXELS)
    actor = caster.actor_of(hits.triangle).astype(np.int16).reshape(height, width)
    return Rendering(expose(colors.reshape(height, width, 3), camera, caster.scene.environment, rng), depth, actor)


@dataclass(frozen=True)
class _View:
    """The rays of a camera in a scene."""

    caster: RayCaster
    camera: Camera
    pixel_angle: float

    def look(self, pixels: NDArray) -> tuple[Hits, NDArray, NDArray[np.float32]]:
        """Return hits, the share of each ray's length along the optical axis, and the colours for pixels (N, 2)."""
        pose = np.asarray(self.camera.cam2world, dtype=np.float64)
        local = self.camera.directions(pixels)
        directions = (local @ pose[:3, :3].T).astype(np.float32)
        origin = pose[:3, :3] @ self.camera.pinhole + pose[:3, 3]
        hits = self.caster.cast(origin, directions)
        return hits, local[:, 2], shade(self.caster, origin, directions, hits, self.pixel_angle)


def _meeting(caster: RayCaster, hits: Hits, depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return (H, W) where a pixel's neighbour shows another surface."""
    triangles = caster.triangles
    kind = np.where(hits.triangle < 0, -1, triangles.material[np.maximum(hits.triangle, 0)])
    kind = kind.reshape(depth.shape)
    found = np.zeros(depth.shape, dtype=bool)
    for axis in (0, 1):
        before = [slice(None), slice(None)]
        after = [slice(None), slice(None)]
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        first, second = tuple(before), tuple(after)
        step = np.abs(depth[first] - depth[second]) > DEPTH_STEP * np.minimum(depth[first], depth[second])
        # Ground seen at a grazing angle also steps; only different materials or a large step are edges.
        edge = (kind[first] != kind[second]) | (step & (np.abs(depth[first] - depth[second]) > 1.0))
        found[first] |= edge
        found[second] |= edge
    return found


def expose(
    light: NDArray[np.float32], camera: Camera, environment: Environment, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Turn light into a picture: lens blur, vignette, exposure, tone curve, noise.

    Args:
        light: (H, W, 3) linear RGB.
        camera: The camera.
        environment: Holds exposure, white balance and noise.
        rng: Draws the noise.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    height, width = light.shape[:2]
    gain = np.array(environment.white_balance, dtype=np.float32) * np.float32(environment.exposure)
    picture = light * gain
    if camera.cam2img[0, 0] > FULL_FOCAL:
        picture = cv2.GaussianBlur(picture, (0, 0), BLUR)
    y = (np.arange(height, dtype=np.float32)[:, None] - height / 2) / width
    x = (np.arange(width, dtype=np.float32)[None] - width / 2) / width
    picture *= (1 - 0.45 * (x * x + y * y))[..., None]
    # A shoulder for highlights, the display's gamma, and the contrast that camera makers add.
    tone = np.power(1 - np.exp(-np.maximum(picture, 0)), np.float32(1 / 2.2))
    grey = np.float32(255) * (np.float32(0.55) * tone + np.float32(0.45) * tone * tone * (3 - 2 * tone))
    noise = rng.standard_normal(grey.shape, dtype=np.float32)
    # Neighbouring pixels of a colour sensor share noise.
    noise = cv2.GaussianBlur(noise, (0, 0), 0.6) * np.float32(1.7 * environment.noise)
    grey += noise * (0.6 + 0.4 * np.sqrt(np.maximum(grey, 0) / 128))
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., ::-1].copy()

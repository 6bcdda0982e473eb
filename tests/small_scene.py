"""A flat road with boxes for actors, and a camera 1.65 m above it that looks along x."""

from __future__ import annotations

import numpy as np

from mono_distill.synthetic.camera import Camera, Rendering
from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import pose_matrix
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.road import Road
from mono_distill.synthetic.scene import Actor, Environment, Scene, Track
from mono_distill.synthetic.shapes import box, polygon

GREY = Material((0.5, 0.5, 0.5))
FLAT = Road(bend=((0.0, 100.0, 0.0),), hill=((0.0, 100.0, 0.0),), lane_width=3.5, lanes=(1, 1), kerb=0.1)
CLEAR = Environment(
    sun_direction=(0.0, 0.6, 0.8),
    sun=(1.0, 1.0, 1.0),
    sky=(0.3, 0.3, 0.4),
    horizon=(0.5, 0.5, 0.5),
    cloudiness=0.2,
    visibility=2000.0,
    wetness=0.0,
    exposure=1.0,
    noise=1.0,
    white_balance=(1.0, 1.0, 1.0),
    seed=1,
)
SHAPE = (94, 310)
CAM2IMG = np.array([[180.0, 0, 152.0, 11.0], [0, 180.0, 43.0, 0.05], [0, 0, 1, 0.0027]])
CAMERA_HEIGHT = 1.65
EGO2CAM_AXES = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def block(x, y=0.0, *, size=(4.0, 1.8, 1.5), heading=0.0, category='vehicle.car', kind='sedan', name=None):
    """An actor that fills its box, ``x`` metres ahead and ``y`` to the left; beyond 3.5 m it stands on the kerb."""
    length, width, height = size
    mesh = box((0, 0, 0), (length, width, height), GREY)
    name = name or f'{category}-{x}-{y}'
    return Actor(name, category, kind, size, mesh, Track(s=x, offset=y, speed=0.0, heading=heading))


def small_scene(*actors, road=FLAT, pitch=0.0, roll=0.0):
    ground = polygon([[-50, -50, 0], [200, -50, 0], [200, 50, 0], [-50, 50, 0]], GREY)
    ego = Track(s=0.0, offset=0.0, speed=0.0, heading=0.0)
    return Scene(0, 0, road, ego, ground, tuple(actors), CLEAR, CAMERA_HEIGHT, pitch, roll)


def look(scene, *, cam2img=CAM2IMG, shape=SHAPE, pitch=0.0):
    """Return the ray caster, a camera at x = 0, and what it sees (depth and actors; the image is black)."""
    caster = RayCaster(scene, 0.0, center=(0, 0, 0))
    camera = Camera(cam2img, pose_matrix(0, 0, CAMERA_HEIGHT, 0, pitch) @ EGO2CAM_AXES, shape)
    v, u = np.mgrid[: shape[0], : shape[1]]
    local = camera.directions(np.stack([u.ravel(), v.ravel()], axis=1))
    turn = camera.cam2world[:3, :3]
    hits = caster.cast(camera.cam2world[:3, 3] + turn @ camera.pinhole, local @ turn.T)
    met = hits.triangle >= 0
    depth = np.where(met, camera.pinhole[2] + local[:, 2] * np.where(met, hits.distance, 0), 0)
    actor = caster.actor_of(hits.triangle).astype(np.int16)
    image = np.zeros((*shape, 3), dtype=np.uint8)
    return caster, camera, Rendering(image, depth.astype(np.float32).reshape(shape), actor.reshape(shape))

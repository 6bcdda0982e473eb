"""KITTI annotations of a rendered frame.

=============================================  ======================================================================
what is seen                                   what is written
=============================================  ======================================================================
car, van, truck, bus, pedestrian, cyclist      Car, Van, Truck, Truck, Pedestrian, Cyclist
trailer, construction vehicle, motorcycle      Misc
bicycle without rider, cone, barrier           nothing, as in KITTI
less than 5 % of the silhouette visible        nothing
farther than 85 m, or lower than 10 pixels of  DontCare: recognisable perhaps, but a detector is neither blamed for
the full image, or more than 95 % outside, or  missing nor for finding it
less than 2 m ahead
=============================================  ======================================================================

Occlusion levels by the visible share of the silhouette inside the image: 0 from 80 %, 1 from 40 %, 2 from 15 %, below
that 3, which KITTI's evaluation ignores at every difficulty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_distill.datasets.kitti.labels import DONT_CARE, KittiLabels
from mono_distill.synthetic.kitti.rig import FULL_SHAPE
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.scene import GROUND_CLEARANCE, Actor
from mono_distill.synthetic.visibility import ActorView

# By nuScenes' category; 'van' and 'rider' are kinds within their categories.
CLASSES = {
    'vehicle.car': 'Car',
    'vehicle.truck': 'Truck',
    'vehicle.bus.rigid': 'Truck',
    'vehicle.trailer': 'Misc',
    'vehicle.construction': 'Misc',
    'vehicle.motorcycle': 'Misc',
    'human.pedestrian.adult': 'Pedestrian',
}
MIN_VISIBLE = 0.05
# Visible share from which an object's occlusion level is 0, 1, 2.
OCCLUSION_LEVELS = (0.8, 0.4, 0.15)
MAX_DISTANCE = 85.0
MIN_HEIGHT = 10.0
MAX_TRUNCATED = 0.95
MIN_DEPTH = 2.0


@dataclass(frozen=True)
class _Object:
    """One line of a label file."""

    name: str
    bbox: NDArray[np.float64]
    truncated: float = -1.0
    occluded: int = -1
    alpha: float = -10.0
    dimensions: tuple[float, float, float] = (-1.0, -1.0, -1.0)
    location: tuple[float, float, float] = (-1000.0, -1000.0, -1000.0)
    rotation_y: float = -10.0


def label_frame(
    caster: RayCaster, views: Sequence[ActorView], cam2world: NDArray, image_shape: tuple[int, int]
) -> KittiLabels:
    """Annotate a frame.

    Args:
        caster: The scene at the frame's moment.
        views: What the camera sees of the actors.
        cam2world: (4, 4) pose of the rectified camera frame.
        image_shape: Height and width of the image, pixels.

    Returns:
        Objects in the order of the scene, ``DontCare`` regions last.
    """
    world2cam = np.linalg.inv(cam2world)
    scale = image_shape[0] / FULL_SHAPE[0]
    found = []
    for view in views:
        actor = caster.scene.actors[view.actor]
        name = kitti_class(actor)
        if name is not None and view.visible >= MIN_VISIBLE:
            found.append(_annotate(name, actor, view, world2cam @ caster.poses[view.actor], scale))
    return _table(sorted(found, key=lambda one: one.name == DONT_CARE))


def kitti_class(actor: Actor) -> str | None:
    """Return KITTI's class of an actor; None if KITTI would not annotate it."""
    if actor.kind == 'van':
        return 'Van'
    if actor.category == 'vehicle.bicycle':
        return 'Cyclist' if actor.kind == 'rider' else None
    return CLASSES.get(actor.category)


def upright_box(size: tuple[float, float, float], actor2cam: NDArray) -> NDArray[np.float64]:
    """Return an actor's box as KITTI annotates boxes: turned about the camera's y axis only.

    The middle is that of the body, which may lean with the road; the bottom is raised by ``GROUND_CLEARANCE``, so that
    LiDAR returns from the ground stay outside.

    Args:
        size: Length, width and height of the body, metres.
        actor2cam: (4, 4) pose of the actor in the rectified camera frame.

    Returns:
        (7,) x, y_bottom, z, l, h, w, ry in the rectified camera frame.
    """
    length, width, height = size
    raised = height - GROUND_CLEARANCE
    middle = actor2cam[:3, :3] @ [0, 0, GROUND_CLEARANCE + raised / 2] + actor2cam[:3, 3]
    forward = actor2cam[:3, 0]
    heading = np.arctan2(-forward[2], forward[0])
    return np.array([middle[0], middle[1] + raised / 2, middle[2], length, raised, width, heading])


def _annotate(name: str, actor: Actor, view: ActorView, actor2cam: NDArray, scale: float) -> _Object:
    x, y, z, length, height, width, heading = upright_box(actor.size, actor2cam)
    vague = (
        np.hypot(x, z) > MAX_DISTANCE
        or z < MIN_DEPTH
        or view.bbox[3] - view.bbox[1] < MIN_HEIGHT * scale
        or view.truncated > MAX_TRUNCATED
    )
    if vague:
        return _Object(DONT_CARE, view.bbox)
    level = next(
        (level for level, share in enumerate(OCCLUSION_LEVELS) if view.visible >= share), len(OCCLUSION_LEVELS)
    )
    alpha = (heading - np.arctan2(x, z) + np.pi) % (2 * np.pi) - np.pi
    return _Object(name, view.bbox, view.truncated, level, alpha, (height, width, length), (x, y, z), heading)


def _table(objects: Sequence[_Object]) -> KittiLabels:
    """Return the objects column by column."""

    def column(field: str, *shape: int) -> NDArray[np.float64]:
        return np.array([getattr(one, field) for one in objects], dtype=np.float64).reshape(len(objects), *shape)

    return KittiLabels(
        name=np.array([one.name for one in objects], dtype=np.str_),
        truncated=column('truncated'),
        occluded=column('occluded').astype(np.int64),
        alpha=column('alpha'),
        bbox=column('bbox', 4),
        dimensions=column('dimensions', 3),
        location=column('location', 3),
        rotation_y=column('rotation_y'),
        score=np.zeros(len(objects)),
    )

"""What nuScenes annotates: boxes that turn about the vertical only, attributes, visibility."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyquaternion import Quaternion

from mono_distill.synthetic.scene import GROUND_CLEARANCE, Actor, Scene
from mono_distill.synthetic.visibility import ActorView

# Objects farther from the car are not annotated, metres.
MAX_DISTANCE = 80.0
# Slower objects count as standing, metres per second.
MIN_SPEED = 0.2
# Lower limits of the visible share for nuScenes' levels 2, 3 and 4.
VISIBILITY_LIMITS = (0.4, 0.6, 0.8)


@dataclass(frozen=True)
class GlobalBox:
    """A labelled box.

    Attributes:
        center: (3,) global frame, metres.
        size: Width, length, height (nuScenes' order), metres.
        yaw: Heading of the length axis, radians, counter-clockwise seen from above.
    """

    center: NDArray[np.float64]
    size: tuple[float, float, float]
    yaw: float

    def contains(self, points: NDArray) -> NDArray[np.bool_]:
        """Return which of the (N, 3) global points lie inside, the faces included."""
        offset = points - self.center
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        forward = cos * offset[:, 0] + sin * offset[:, 1]
        left = cos * offset[:, 1] - sin * offset[:, 0]
        width, length, height = self.size
        half = [(forward, length / 2), (left, width / 2), (offset[:, 2], height / 2)]
        return np.logical_and.reduce([np.abs(value) <= limit for value, limit in half])


def global_box(actor: Actor, pose: NDArray) -> GlobalBox:
    """Return the box of an actor; ``pose`` is (4, 4) actor to global.

    Its bottom is raised by the ground clearance, so that the ground stays outside; it does not lean.
    """
    length, width, height = (float(value) for value in actor.size)
    center = (pose @ [0, 0, (height + GROUND_CLEARANCE) / 2, 1])[:3]
    return GlobalBox(center, (width, length, height - GROUND_CLEARANCE), float(np.arctan2(pose[1, 0], pose[0, 0])))


def attribute(scene: Scene, actor: Actor) -> str | None:
    """Return the name of nuScenes' attribute for an actor, None for objects without."""
    moving = abs(actor.track.speed) > MIN_SPEED
    if actor.category.startswith('human.pedestrian'):
        return 'pedestrian.moving' if moving else 'pedestrian.standing'
    if actor.category in ('vehicle.bicycle', 'vehicle.motorcycle'):
        return 'cycle.with_rider' if 'rider' in actor.kind or moving else 'cycle.without_rider'
    if actor.category.startswith('vehicle.'):
        if moving:
            return 'vehicle.moving'
        # On a lane it waits, beside the lanes it is parked.
        right, left = (lanes * scene.road.lane_width for lanes in scene.road.lanes)
        return 'vehicle.stopped' if -right <= actor.track.offset <= left else 'vehicle.parked'
    return None


def visible_shares(views: Iterable[ActorView]) -> dict[int, float]:
    """Return the visible share of each actor over all cameras, 0 to 1; actors in no image are absent."""
    total: dict[int, tuple[float, float]] = {}
    for view in views:
        seen, pixels = total.get(view.actor, (0.0, 0.0))
        total[view.actor] = (seen + view.visible * view.pixels, pixels + view.pixels)
    return {actor: seen / pixels for actor, (seen, pixels) in total.items() if pixels > 0}


def visibility_level(share: float) -> str:
    """Return nuScenes' visibility token.

    Example:
        >>> [visibility_level(share) for share in (0, 0.4, 0.79, 1)]
        ['1', '2', '3', '4']
    """
    return str(1 + int(np.searchsorted(VISIBILITY_LIMITS, share, side='right')))


def annotate(
    scene: Scene, time: float, world2global: NDArray, points: NDArray, shares: dict[int, float]
) -> list[dict[str, object]]:
    """Return the annotations of a key-frame: what is near enough and has a LiDAR point or is seen by a camera.

    Args:
        scene: The scene.
        time: Seconds from its start.
        world2global: (4, 4).
        points: (N, 3) of the key-frame's LiDAR scan, global frame, metres.
        shares: Visible share of each actor over the cameras, see :func:`visible_shares`.
    """
    car = scene.ego_pose(time)[:2, 3]
    rows: list[dict[str, object]] = []
    for index, actor in enumerate(scene.actors):
        pose = scene.actor_pose(actor, time)
        if np.linalg.norm(pose[:2, 3] - car) > MAX_DISTANCE:
            continue
        box = global_box(actor, world2global @ pose)
        inside = int(np.count_nonzero(box.contains(points)))
        share = shares.get(index, 0.0)
        if inside == 0 and share <= 0:
            continue
        rows.append(
            {
                'actor': actor.name,
                'category': actor.category,
                'attribute': attribute(scene, actor),
                'visibility': visibility_level(share),
                'translation': box.center.tolist(),
                'size': list(box.size),
                'rotation': Quaternion(axis=[0, 0, 1], radians=box.yaw).elements.tolist(),
                'num_lidar_pts': inside,
            }
        )
    return rows

"""What a scene is: a road, what stands beside it, who moves on it, the light, and the car that carries the sensors.

World frame: x, y horizontal, z up, metres; a scene starts near the origin and the road leads roughly along +x. Ego
frame: x forward, y left, z up, origin on the ground below the middle of the rear axle. Everything is a function of
time in seconds from the start of the scene.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.mesh import Mesh
from mono_distill.synthetic.road import Road

# The labelled box begins this far above the ground (metres), so that returns from the ground stay outside of it.
GROUND_CLEARANCE = 0.03

# nuScenes' general category names; the KITTI writer maps them to KITTI's classes.
CATEGORIES = (
    'vehicle.car',
    'vehicle.truck',
    'vehicle.bus.rigid',
    'vehicle.trailer',
    'vehicle.construction',
    'human.pedestrian.adult',
    'vehicle.motorcycle',
    'vehicle.bicycle',
    'movable_object.trafficcone',
    'movable_object.barrier',
)


@dataclass(frozen=True)
class Track:
    """Motion along the road at constant speed and lateral offset, or rest.

    Attributes:
        s: Distance along the road's centre line at time 0, metres.
        offset: Distance to the left of the centre line, metres.
        speed: Metres per second towards growing ``s``; negative for oncoming traffic, 0 for parked.
        heading: Angle between the body's forward axis and the direction of growing ``s``, radians.
    """

    s: float
    offset: float
    speed: float
    heading: float


@dataclass(frozen=True)
class Actor:
    """An object that is annotated.

    Attributes:
        name: Unique within the scene.
        category: One of :data:`CATEGORIES`.
        kind: Finer kind within the category: ``sedan``, ``van``, ``rider`` (a cycle with a rider), …
        size: Length, width, height of its box, metres.
        mesh: Body in its own frame: x forward, y left, z up, centred in x and y, lowest point at z = 0; it touches
            every face of the box of ``size``.
        track: Its motion.
    """

    name: str
    category: str
    kind: str
    size: tuple[float, float, float]
    mesh: Mesh
    track: Track


@dataclass(frozen=True)
class Environment:
    """Light and air; colours are linear RGB in units of white in full sun.

    Attributes:
        sun_direction: (3,) unit vector towards the sun.
        sun: Colour of direct sunlight (zero under clouds).
        sky: Colour of the light from above.
        horizon: Colour of the sky at the horizon, and of haze.
        cloudiness: Share of the sky that clouds cover, 0 to 1.
        visibility: Distance after which haze has taken 63 % of the contrast, metres.
        wetness: How much the road mirrors, 0 to 1.
        exposure: Factor from light to the camera's half scale.
        noise: Standard deviation of sensor noise at half scale, in grey levels of 255.
        white_balance: Gains of red, green and blue.
        seed: Seeds clouds and textures.
    """

    sun_direction: tuple[float, float, float]
    sun: tuple[float, float, float]
    sky: tuple[float, float, float]
    horizon: tuple[float, float, float]
    cloudiness: float
    visibility: float
    wetness: float
    exposure: float
    noise: float
    white_balance: tuple[float, float, float]
    seed: int


@dataclass(frozen=True)
class Scene:
    """One drive of some seconds; a pure function of ``(seed, index)`` and the style.

    Attributes:
        seed: Seed of the data set.
        index: Number of the scene in it.
        road: Centre line and height of the ground.
        ego: Motion of the car with the sensors.
        background: Ground, kerbs, buildings, trees and all else that is not annotated.
        actors: Annotated objects.
        environment: Light and air.
        camera_height: Height of the front camera above the ground, metres; fixed within a scene.
        camera_pitch: Its pitch against the ego frame (nose up is positive), radians; fixed within a scene.
        camera_roll: Likewise, radians.
    """

    seed: int
    index: int
    road: Road
    ego: Track
    background: Mesh
    actors: tuple[Actor, ...]
    environment: Environment
    camera_height: float
    camera_pitch: float
    camera_roll: float
    # What others derive from the scene and want to keep as long as it lives; not part of its value.
    cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        # Ray tracing structures cannot be sent to another process.
        return {**self.__dict__, 'cache': {}}

    def ego_pose(self, time: float) -> NDArray[np.float64]:
        """Return the (4, 4) pose of the ego frame in the world; it leans with the road."""
        return self.road.pose(self.ego.s + self.ego.speed * time, self.ego.offset, self.ego.heading)

    def actor_pose(self, actor: Actor, time: float) -> NDArray[np.float64]:
        """Return the (4, 4) pose of an actor's frame in the world: on the ground, leaning with the road."""
        track = actor.track
        return self.road.pose(track.s + track.speed * time, track.offset, track.heading)

    def actor_velocity(self, actor: Actor, time: float, *, step: float = 0.05) -> NDArray[np.float64]:
        """Return the (3,) velocity of an actor in the world, metres per second."""
        if actor.track.speed == 0:
            return np.zeros(3)
        before, after = (self.actor_pose(actor, time + sign * step)[:3, 3] for sign in (-1, 1))
        return (after - before) / (2 * step)

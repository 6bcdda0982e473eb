"""A rotating LiDAR: where its beams end, what comes back, and how strongly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.surface import surface_reflectance


@dataclass(frozen=True)
class LidarModel:
    """A scanner with beams at fixed elevations that turns about its z axis.

    Attributes:
        elevations: (B,) degrees above the horizontal, ring 0 first.
        columns: Firings per turn.
        min_range: Metres; nearer returns are the car that carries the scanner.
        max_range: Metres.
        range_noise: Standard deviation, metres.
        sensitivity: Distance at which a white surface seen head-on still returns with probability one half, metres.
        drop_out: Share of returns that are lost for no reason.
        gain: Factor from reflected power to intensity; sensors are calibrated differently.
        turn: Azimuth of the first column, radians, in the LiDAR frame; columns go clockwise seen from above.
    """

    elevations: tuple[float, ...]
    columns: int
    min_range: float
    max_range: float
    range_noise: float
    sensitivity: float
    drop_out: float
    gain: float = 1.0
    turn: float = 0.0


# Velodyne HDL-64E: 32 beams from +2 degrees by a third of a degree, 32 below by half a degree.
HDL64 = LidarModel(
    elevations=(*np.linspace(2.0, -8.33, 32), *np.linspace(-8.83, -24.33, 32)),
    columns=2083,
    min_range=2.5,
    max_range=120.0,
    range_noise=0.015,
    sensitivity=450.0,
    drop_out=0.02,
    gain=2.2,
)
# Velodyne HDL-32E; ring 0 is the lowest beam, as in nuScenes.
HDL32 = LidarModel(
    elevations=tuple(np.linspace(-30.67, 10.67, 32)),
    columns=1084,
    min_range=1.5,
    max_range=100.0,
    range_noise=0.02,
    sensitivity=300.0,
    drop_out=0.02,
    gain=0.45,
)


@dataclass(frozen=True)
class LidarScan:
    """Returns of one turn.

    Attributes:
        points: (N, 3) float32 LiDAR frame, metres.
        intensity: (N,) float32, 0 to 1.
        ring: (N,) int32 index of the beam.
        actor: (N,) int32 which actor was hit (the truth, no part of a data set); -1 for the background.
    """

    points: NDArray[np.float32]
    intensity: NDArray[np.float32]
    ring: NDArray[np.int32]
    actor: NDArray[np.int32]


def scan(caster: RayCaster, model: LidarModel, lidar2world: NDArray, rng: np.random.Generator) -> LidarScan:
    """Turn the scanner once; the scene stands still meanwhile.

    Args:
        caster: The scene at this moment.
        model: The scanner.
        lidar2world: (4, 4) pose of the scanner.
        rng: Draws noise and lost returns.
    """
    local = _firings(model)
    directions = (local @ lidar2world[:3, :3].T).astype(np.float32)
    hits = caster.cast(lidar2world[:3, 3], directions)
    seen = np.flatnonzero((hits.distance >= model.min_range) & (hits.distance <= model.max_range))
    distance = hits.distance[seen]
    reflectance, cosine = surface_reflectance(caster, hits, seen, directions[seen])
    draws = rng.random((len(seen), 2), dtype=np.float32)
    noise = rng.standard_normal(len(seen), dtype=np.float32) * np.float32(model.range_noise)
    # Radar equation for a diffuse surface that fills the beam; a threshold with soft edges decides.
    power = reflectance * cosine / np.square(distance / model.sensitivity)
    returned = (draws[:, 0] < power**2 / (1 + power**2)) & (draws[:, 1] >= model.drop_out)
    kept = seen[returned]
    points = local[kept].astype(np.float32) * (distance[returned] + noise[returned])[:, None]
    intensity = np.clip(model.gain * reflectance[returned] * np.sqrt(cosine[returned]), 0, 1).astype(np.float32)
    ring = (kept // model.columns).astype(np.int32)
    return LidarScan(points, intensity, ring, caster.actor_of(hits.triangle[kept]))


@lru_cache(maxsize=4)
def _firings(model: LidarModel) -> NDArray[np.float64]:
    """Return the directions of one turn, (N, 3) unit vectors in the LiDAR frame."""
    azimuth = model.turn - np.arange(model.columns) * (2 * np.pi / model.columns)
    elevation = np.deg2rad(np.asarray(model.elevations))
    # Ring by ring, as KITTI's files are.
    flat = np.cos(elevation)[:, None]
    directions = np.stack(
        [
            flat * np.cos(azimuth),
            flat * np.sin(azimuth),
            np.broadcast_to(np.sin(elevation)[:, None], (len(elevation), model.columns)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    directions.setflags(write=False)
    return directions

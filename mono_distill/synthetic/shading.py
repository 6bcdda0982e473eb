"""The light that reaches a camera along its rays: sun with shadows, sky, reflections, contact shadows, haze."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.kernels import CONTACT_RANGE, normals_kernel, shade_kernel
from mono_distill.synthetic.raycast import Hits, RayCaster
from mono_distill.synthetic.scene import Environment
from mono_distill.synthetic.surface import road_parameters

# Shadow rays start this far off the surface, metres, so that it does not shade itself.
SHADOW_OFFSET = 0.02
# Actors farther from the camera than this get none, metres; they would be less than a pixel.
CONTACT_DISTANCE = 70.0


def environment_parameters(environment: Environment) -> NDArray[np.float32]:
    """Return the numbers that the kernels read: sun direction, sun, sky, horizon, clouds, visibility, wetness, seed."""
    e = environment
    return np.array(
        [*e.sun_direction, *e.sun, *e.sky, *e.horizon, e.cloudiness, e.visibility, e.wetness, e.seed % 9973],
        dtype=np.float32,
    )


def shade(caster: RayCaster, origin: NDArray, directions: NDArray, hits: Hits, pixel: float) -> NDArray[np.float32]:
    """Return the light that comes along camera rays.

    Args:
        caster: The scene.
        origin: (3,) the camera, world, metres.
        directions: (N, 3) unit float32.
        hits: Where the rays end.
        pixel: Angle between neighbouring pixels, radians; textures finer than that fade.

    Returns:
        (N, 3) float32 linear RGB in units of white in full sun.
    """
    triangles, environment = caster.triangles, caster.scene.environment
    normals = np.zeros_like(directions)
    normals_kernel(hits.triangle, hits.barycentric, directions, triangles.normals, normals)
    out = np.empty_like(directions)
    start = np.asarray(origin, dtype=np.float32)
    rays: Any = (directions, hits.distance, hits.triangle, hits.barycentric)
    world: Any = (
        environment_parameters(environment),
        road_parameters(caster.scene.road, environment.seed),
        _footprints(caster, origin),
    )
    surfaces: Any = (triangles.uv, triangles.material, triangles.table)
    shade_kernel(rays, start, normals, _lit(caster, start, rays, normals), surfaces, world, np.float32(pixel), out)
    return out


def _lit(caster: RayCaster, origin: NDArray, rays: tuple[NDArray, ...], normals: NDArray) -> NDArray[np.float32]:
    """Return 1 where the sun reaches the surface, 0 in shadow."""
    directions, distance, triangle, _ = rays
    lit = np.zeros(len(directions), dtype=np.float32)
    environment = caster.scene.environment
    if max(environment.sun) <= 0:
        return lit
    sun = np.array(environment.sun_direction, dtype=np.float32)
    index = np.flatnonzero((triangle >= 0) & (normals @ sun > 0))
    points = origin + directions[index] * distance[index, None] + normals[index] * np.float32(SHADOW_OFFSET)
    lit[index] = ~caster.blocked(points, np.broadcast_to(sun, points.shape))
    return lit


def _footprints(caster: RayCaster, origin: NDArray) -> NDArray[np.float32]:
    """Return x, y, z, cos, sin, half length, half width, reach of every actor near the camera."""
    rows = []
    for index in caster.present:
        pose, (length, width, _) = caster.poses[index], caster.scene.actors[index].size
        if np.linalg.norm(pose[:2, 3] - np.asarray(origin)[:2]) < CONTACT_DISTANCE:
            half_length, half_width = length / 2, width / 2
            reach = np.hypot(half_length, half_width) + CONTACT_RANGE
            rows.append((*pose[:3, 3], pose[0, 0], pose[1, 0], half_length, half_width, reach))
    return np.array(rows, dtype=np.float32).reshape(-1, 8)

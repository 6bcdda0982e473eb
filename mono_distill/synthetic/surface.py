"""What rays find where they end: position, normal, material; and what a LiDAR gets back from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.kernels import reflectance_kernel
from mono_distill.synthetic.raycast import Hits, RayCaster
from mono_distill.synthetic.road import Road

# A mark on the road: length and period of dashes, half width, metres.
DASH, PERIOD, HALF_WIDTH = 3.0, 9.0, 0.07


def road_parameters(road: Road, seed: int) -> NDArray[np.float32]:
    """Return what :func:`~mono_distill.synthetic.kernels.road_marks` reads."""
    marked_edges, solid_centre = seed % 3 != 0, seed % 4 == 0
    return np.array(
        [road.lane_width, *road.lanes, DASH, PERIOD, HALF_WIDTH, marked_edges, solid_centre, seed % 9973],
        dtype=np.float32,
    )


def surface_reflectance(
    caster: RayCaster, hits: Hits, index: NDArray, directions: NDArray
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the LiDAR reflectance and the cosine of incidence of some hits.

    Args:
        caster: The scene.
        hits: All hits.
        index: (K,) which of them; none may be a miss.
        directions: (K, 3) unit directions of their rays.

    Returns:
        (K,) reflectance and (K,) cosine, float32.
    """
    out = np.empty((len(index), 2), dtype=np.float32)
    triangles = caster.triangles
    arrays: Any = (triangles.normals, triangles.uv, triangles.material, triangles.table)
    road = road_parameters(caster.scene.road, caster.scene.environment.seed)
    reflectance_kernel(hits.triangle[index], hits.barycentric[index], directions, arrays, road, out)
    return out[:, 0], out[:, 1]

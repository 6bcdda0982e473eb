"""What rays see of a body: shared by the tests of the synthetic actors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex import rtcore_scene
from embreex.mesh_construction import TriangleMesh

from mono_distill.synthetic.mesh import Mesh


@dataclass(frozen=True)
class View:
    """First hits of parallel rays.

    Attributes:
        triangle: Indices of the triangles hit, one a ray that hits.
        outward: Whether the ray met the triangle's outer side.
    """

    triangle: np.ndarray
    outward: np.ndarray


def cast(mesh: Mesh, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return triangle (-1 for a miss) and distance per ray."""
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, np.ascontiguousarray(mesh.vertices[mesh.faces]))
    hits = scene.run(origins.astype(np.float32), directions.astype(np.float32), output=1)
    return np.asarray(hits['primID']).astype(np.int64), np.asarray(hits['tfar'])


def face_normals(mesh: Mesh) -> np.ndarray:
    """Return (F, 3) normals of the triangles, as long as twice their area."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def look(mesh: Mesh, azimuth: float, elevation: float = 4.0, *, side: int = 90) -> View:
    """Look at a body from ``azimuth`` degrees (0: from the front, 90: from its left)."""
    yaw, pitch = np.radians(azimuth), np.radians(elevation)
    toward = -np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.cross(toward, [0, 0, 1]) / np.cos(pitch)
    low, high = mesh.bounds
    reach = float(np.linalg.norm(high - low)) / 2
    u, v = np.meshgrid(np.linspace(-reach, reach, side), np.linspace(-reach, reach, side))
    origins = (low + high) / 2 - 3 * reach * toward + u.reshape(-1, 1) * right
    origins = origins + v.reshape(-1, 1) * np.cross(right, toward)
    triangle, _ = cast(mesh, origins, np.broadcast_to(toward, origins.shape))
    triangle = triangle[triangle >= 0]
    return View(triangle, face_normals(mesh)[triangle] @ toward < 0)


def share_of(mesh: Mesh, view: View, *materials: object) -> float:
    """Return the share of a view that one of the materials fills."""
    wanted = [i for i, material in enumerate(mesh.materials) if material in materials]
    return float(np.isin(mesh.material[view.triangle], wanted).mean())

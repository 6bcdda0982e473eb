"""Simple solids from which the world is built; all are closed enough to be seen from outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import Mesh, merge
from mono_distill.utils.errors import ShapeError


def patch(grid: ArrayLike, material: Material, *, uv: ArrayLike | None = None, smooth: bool = True) -> Mesh:
    """Return a surface through a grid of points.

    Args:
        grid: (R, C, 3) points, metres. Seen from outside, rows go up and columns go right.
        material: Its looks.
        uv: (R, C, 2) surface coordinates; by default the distances along columns and rows.
        smooth: Whether neighbouring cells share normals; otherwise each cell is flat.

    Returns:
        Mesh of ``2 (R-1) (C-1)`` triangles; those without area are left out.

    Raises:
        ShapeError: The grid is not (R, C, 3) with at least two rows and columns, or ``uv`` does not fit.
    """
    points = np.asarray(grid, dtype=np.float64)
    if points.ndim != 3 or points.shape[2] != 3 or min(points.shape[:2]) < 2:
        raise ShapeError(f'a patch needs points (R, C, 3) with R and C at least 2, got {points.shape}')
    rows, columns = points.shape[:2]
    shared: NDArray | None = None
    coordinates = _grid_uv(points) if uv is None else np.asarray(uv, dtype=np.float64)
    if coordinates.shape != (rows, columns, 2):
        raise ShapeError(f'surface coordinates of a patch must be {(rows, columns, 2)}, got {coordinates.shape}')
    if smooth:
        index = np.arange(rows * columns).reshape(rows, columns)
        shared = _shared_corners(points, index).ravel()
        corners = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1).reshape(-1, 4)
        vertices, flat_uv = points.reshape(-1, 3), coordinates.reshape(-1, 2)
    else:
        cells = [points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]]
        cell_uv = [coordinates[:-1, :-1], coordinates[:-1, 1:], coordinates[1:, 1:], coordinates[1:, :-1]]
        vertices = np.stack(cells, axis=2).reshape(-1, 3)
        flat_uv = np.stack(cell_uv, axis=2).reshape(-1, 2)
        corners = np.arange(len(vertices)).reshape(-1, 4)
    faces = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
    return _with_normals(vertices, faces, flat_uv, material, shared)


def _shared_corners(points: NDArray, index: NDArray) -> NDArray:
    """Return for each point of a grid the one whose normal it shares: at a seam, and where a row is one point."""
    shared = index.copy()
    if np.allclose(points[:, 0], points[:, -1], rtol=0, atol=1e-9):
        shared[:, -1] = shared[:, 0]
    for row in (0, -1):
        if np.allclose(points[row], points[row, :1], rtol=0, atol=1e-9):
            shared[row] = shared[row, 0]
    return shared


def _grid_uv(points: NDArray) -> NDArray:
    along = np.linalg.norm(np.diff(points, axis=1), axis=2)
    up = np.linalg.norm(np.diff(points, axis=0), axis=2)
    u = np.concatenate([np.zeros((len(points), 1)), np.cumsum(along, axis=1)], axis=1)
    v = np.concatenate([np.zeros((1, points.shape[1])), np.cumsum(up, axis=0)], axis=0)
    return np.stack([u, v], axis=-1)


def _cross(first: NDArray, second: NDArray) -> NDArray:
    """Return cross products of (N, 3) vectors; np.cross spends most of its time on moving axes."""
    x1, y1, z1 = first.T
    x2, y2, z2 = second.T
    return np.stack([y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2], axis=1)


def _with_normals(
    vertices: NDArray, faces: NDArray, uv: NDArray, material: Material, shared: NDArray | None = None
) -> Mesh:
    """Average the normals of the triangles at each vertex (or at the one it shares), weighted by area."""
    corners = vertices[faces]
    cross = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    kept = np.square(cross).sum(axis=1) > 1e-18
    faces, cross = faces[kept], cross[kept]
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner] if shared is None else shared[faces[:, corner]], cross)
    if shared is not None:
        normals = normals[shared]
    length = np.sqrt(np.square(normals).sum(axis=1, keepdims=True))
    normals = np.where(length > 1e-12, normals / np.maximum(length, 1e-12), [0.0, 0.0, 1.0])
    return _mesh(vertices, faces, normals, uv, material)


def _mesh(vertices: NDArray, faces: NDArray, normals: NDArray, uv: NDArray, material: Material) -> Mesh:
    return Mesh(
        vertices.astype(np.float32),
        faces.astype(np.int32),
        normals.astype(np.float32),
        uv.astype(np.float32),
        np.zeros(len(faces), dtype=np.int32),
        (material,),
    )


def polygon(points: ArrayLike, material: Material) -> Mesh:
    """Return a flat convex polygon, (N, 3) corners counter-clockwise seen from outside.

    Its surface coordinates run along the first edge and at right angles to it, metres.

    Raises:
        ShapeError: There are fewer than three corners, or they have no three coordinates.
    """
    corners = np.asarray(points, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 3 or len(corners) < 3:
        raise ShapeError(f'a polygon needs corners (N, 3) with N at least 3, got {corners.shape}')
    return _flat_faces(corners[None], material)


def _flat_faces(corners: NDArray, material: Material) -> Mesh:
    """Return P flat convex polygons of N corners each, (P, N, 3); ``u`` runs along each one's first edge."""
    count, sides = corners.shape[:2]
    axis = _unit(corners[:, 1] - corners[:, 0])
    away = corners - corners[:, :1]
    # All corners, weighted by area: the first three may lie on a line.
    normal = _unit(_cross(away[:, 1:-1].reshape(-1, 3), away[:, 2:].reshape(-1, 3)).reshape(count, -1, 3).sum(axis=1))
    uv = np.stack([(away * axis[:, None]).sum(axis=2), (away * _cross(normal, axis)[:, None]).sum(axis=2)], axis=2)
    fan = np.stack([np.zeros(sides - 2), np.arange(1, sides - 1), np.arange(2, sides)], axis=1)
    faces = (fan[None] + sides * np.arange(count)[:, None, None]).reshape(-1, 3)
    normals = np.repeat(normal, sides, axis=0)
    return _mesh(corners.reshape(-1, 3), faces, normals, uv.reshape(-1, 2), material)


def _unit(vectors: NDArray) -> NDArray:
    return vectors / np.maximum(np.sqrt(np.square(vectors).sum(axis=1, keepdims=True)), 1e-12)


def box(
    center: ArrayLike, size: ArrayLike, material: Material, *, top: Material | None = None, taper: float = 1.0
) -> Mesh:
    """Return a box with vertical sides.

    Args:
        center: Middle of the bottom face, metres.
        size: Extent in x, y and z.
        material: Looks of the sides (and the bottom).
        top: Looks of the top face; by default as the sides.
        taper: Size of the top relative to the bottom.
    """
    x, y, z = np.asarray(center, dtype=np.float64)
    dx, dy, dz = np.asarray(size, dtype=np.float64) / [2, 2, 1]
    low = np.array([[x - dx, y - dy, z], [x + dx, y - dy, z], [x + dx, y + dy, z], [x - dx, y + dy, z]])
    high = low.copy()
    high[:, :2] = [x, y] + (low[:, :2] - [x, y]) * taper
    high[:, 2] = z + dz
    after = [1, 2, 3, 0]
    sides = np.stack([low, low[after], high[after], high], axis=1)
    if top is None or top == material:
        return _flat_faces(np.concatenate([sides, high[None], low[None, ::-1]]), material)
    return merge([_flat_faces(np.concatenate([sides, low[None, ::-1]]), material), _flat_faces(high[None], top)])


def loft(sections: ArrayLike, material: Material, *, smooth: bool = True, capped: bool = True) -> Mesh:
    """Return a tube through closed cross-sections.

    Args:
        sections: (S, K, 3) rings of points; seen from the last section towards the first, a ring is
            counter-clockwise. The ring must be convex where it is capped.
        material: Its looks.
        smooth: Whether normals are shared around and along the tube.
        capped: Whether the ends are closed.

    Raises:
        ShapeError: There are fewer than two sections or three points in a section.
    """
    rings = np.asarray(sections, dtype=np.float64)
    if rings.ndim != 3 or rings.shape[2] != 3 or len(rings) < 2 or rings.shape[1] < 3:
        raise ShapeError(f'a loft needs sections (S, K, 3) with S at least 2 and K at least 3, got {rings.shape}')
    parts = [patch(np.concatenate([rings, rings[:, :1]], axis=1), material, smooth=smooth)]
    if capped:
        parts += [polygon(rings[0][::-1], material), polygon(rings[-1], material)]
    return merge(parts)


def tube(
    points: ArrayLike, radii: float | Sequence[float], material: Material, *, sides: int = 8, capped: bool = True
) -> Mesh:
    """Return a round tube along a polyline of (N, 3) points; ``radii`` in metres, one or one per point."""
    line = np.asarray(points, dtype=np.float64)
    radius = np.broadcast_to(np.asarray(radii, dtype=np.float64), len(line))
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    helper = np.where(np.abs(tangent[:, 2:]) > 0.9, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    first = np.cross(helper, tangent)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(tangent, first)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.cos(angle)[None, :, None] * first[:, None] + np.sin(angle)[None, :, None] * second[:, None]
    return loft(line[:, None] + radius[:, None, None] * ring, material, capped=capped)


def cylinder(
    base: ArrayLike,
    height: float,
    radius: float,
    material: Material,
    *,
    sides: int = 10,
    top_radius: float | None = None,
) -> Mesh:
    """Return an upright cylinder, or a cone if ``top_radius`` differs, on its ``base`` point (metres)."""
    bottom = np.asarray(base, dtype=np.float64)
    last = radius if top_radius is None else top_radius
    return tube([bottom, bottom + [0, 0, height]], [radius, max(last, 1e-3)], material, sides=sides)


def ellipsoid(center: ArrayLike, radii: ArrayLike, material: Material, *, rows: int = 6, sides: int = 10) -> Mesh:
    """Return an ellipsoid with three half axes in metres."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    longitude = np.linspace(0, 2 * np.pi, sides + 1)
    cos_lat = np.cos(latitude)[:, None]
    unit = np.stack(
        [cos_lat * np.cos(longitude), cos_lat * np.sin(longitude), np.sin(latitude)[:, None] * np.ones(sides + 1)],
        axis=-1,
    )
    return patch(np.asarray(center, dtype=np.float64) + unit * np.asarray(radii, dtype=np.float64), material)

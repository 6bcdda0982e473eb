"""Collects the parts of a body and turns them into one mesh; normals of all parts are computed in one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import Mesh
from mono_distill.utils.errors import ShapeError

_CELL = np.array([[0, 1, 2], [0, 2, 3]])
_BOX_FACES = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7], [3, 2, 1, 0]])


class MeshBuilder:
    """A body under construction; coordinates in metres, x forward, y left, z up.

    Cells of one surface share normals where they share a vertex, a material and a smoothing group.
    """

    def __init__(self) -> None:
        self._materials: dict[Material, int] = {}
        self._vertices: list[NDArray] = []
        self._faces: list[NDArray] = []
        self._material: list[NDArray] = []
        self._group: list[NDArray] = []
        self._uv: list[NDArray] = []
        self._count = 0

    def index(self, material: Material) -> int:
        """Return the number of a material in the finished mesh."""
        return self._materials.setdefault(material, len(self._materials))

    def grid(
        self,
        points: ArrayLike,
        material: Material | NDArray,
        *,
        smooth: bool = True,
        group: NDArray | None = None,
        uv: ArrayLike | None = None,
    ) -> None:
        """Add a surface through a grid of points.

        Args:
            points: (R, C, 3), metres. Seen from outside, rows go up and columns go right. Last and first column (or
                row) may coincide: then the surface is smooth across them.
            material: Its looks, or (R-1, C-1) numbers from :meth:`index`, one a cell.
            smooth: Whether neighbouring cells share normals.
            group: (R-1, C-1) smoothing groups of the cells; an edge between two groups is sharp.
            uv: (R, C, 2) surface coordinates, metres; by default ``(x + y, z)``.
        """
        corners = np.asarray(points, dtype=np.float64)
        rows, columns = corners.shape[:2]
        index = np.arange(rows * columns).reshape(rows, columns)
        if np.array_equal(corners[:, 0], corners[:, -1]):
            index[:, -1] = index[:, 0]
        if rows > 2 and np.array_equal(corners[0], corners[-1]):
            index[-1] = index[0]
        cells = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1).reshape(-1, 4)
        numbers = np.full(len(cells), self.index(material)) if isinstance(material, Material) else material.reshape(-1)
        groups = np.zeros(len(cells), dtype=np.int64) if group is None else np.asarray(group).reshape(-1)
        if not smooth:
            groups = np.arange(len(cells))
        flat_uv = None if uv is None else np.asarray(uv, dtype=np.float64).reshape(-1, 2)
        self._add(corners.reshape(-1, 3), cells[:, _CELL].reshape(-1, 3), numbers.repeat(2), groups.repeat(2), flat_uv)

    def polygon(self, points: ArrayLike, material: Material, *, uv: ArrayLike | None = None) -> None:
        """Add a flat convex polygon, (N, 3) corners counter-clockwise seen from outside."""
        corners = np.asarray(points, dtype=np.float64)
        second = np.arange(1, len(corners) - 1)
        faces = np.stack([np.zeros_like(second), second, second + 1], axis=1)
        zeros = np.zeros(len(faces), dtype=np.int64)
        self._add(corners, faces, zeros + self.index(material), zeros, None if uv is None else np.asarray(uv))

    def box(
        self,
        center: ArrayLike,
        size: ArrayLike,
        material: Material,
        *,
        taper: tuple[float, float] = (1.0, 1.0),
        shift: float = 0.0,
    ) -> None:
        """Add a box.

        Args:
            center: Middle of its bottom face, metres.
            size: Extent in x, y and z, metres.
            material: Its looks.
            taper: Size of the top face relative to the bottom in x and y.
            shift: How much farther forward the top face is, metres.
        """
        dx, dy, dz = np.asarray(size, dtype=np.float64) / [2, 2, 1]
        low = np.array([[-dx, -dy, 0], [dx, -dy, 0], [dx, dy, 0], [-dx, dy, 0]])
        high = low * [taper[0], taper[1], 1] + [shift, 0, dz]
        self.hexahedron(np.concatenate([low, high]) + np.asarray(center, dtype=np.float64), material)

    def hexahedron(self, corners: ArrayLike, material: Material) -> None:
        """Add a solid with six faces.

        Args:
            corners: (8, 3): the bottom face counter-clockwise seen from above, then the top face in the same order.
            material: Its looks.
        """
        faces = _BOX_FACES[:, _CELL].reshape(-1, 3)
        groups = np.arange(6).repeat(2)
        self._add(np.asarray(corners, dtype=np.float64), faces, np.full(12, self.index(material)), groups, None)

    def tube(
        self,
        points: ArrayLike,
        radii: float | Sequence[float] | NDArray,
        material: Material,
        *,
        sides: int = 6,
        capped: bool = True,
        flatten: float = 1.0,
    ) -> None:
        """Add a tube along a polyline of (N, 3) points.

        Args:
            points: Centre line, metres.
            radii: One radius, or one per point, metres.
            material: Its looks.
            sides: Number of sides.
            capped: Whether the ends are closed.
            flatten: Radius at right angles to the vertical plane of the line, relative to that within it.
        """
        line = np.asarray(points, dtype=np.float64)
        rings = _rings(line, np.broadcast_to(np.asarray(radii, dtype=np.float64), len(line)), sides, flatten)
        self.grid(rings[:, np.r_[0:sides, 0]], material)
        if capped:
            self.polygon(rings[0][::-1], material)
            self.polygon(rings[-1], material)

    def ellipsoid(
        self, center: ArrayLike, radii: ArrayLike, material: Material, *, rows: int = 4, sides: int = 8
    ) -> None:
        """Add an ellipsoid with half axes in x, y and z, metres."""
        latitude = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)[:, None]
        longitude = np.linspace(0, 2 * np.pi, sides + 1)
        longitude[-1] = 0
        unit = np.stack(np.broadcast_arrays(
            np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
        ), axis=-1)  # fmt: skip
        self.grid(np.asarray(center, dtype=np.float64) + unit * np.asarray(radii, dtype=np.float64), material)

    def _add(self, vertices: NDArray, faces: NDArray, material: NDArray, group: NDArray, uv: NDArray | None) -> None:
        self._vertices.append(vertices)
        self._faces.append(faces + self._count)
        self._material.append(material)
        self._group.append(group)
        self._uv.append(np.stack([vertices[:, 0] + vertices[:, 1], vertices[:, 2]], axis=1) if uv is None else uv)
        self._count += len(vertices)

    def build(self) -> Mesh:
        """Return everything added so far as one mesh; triangles without area are left out.

        Raises:
            ShapeError: If nothing was added.
        """
        if not self._faces:
            raise ShapeError('MeshBuilder.build: add at least one surface first')
        vertices, faces, uv = (np.concatenate(part) for part in (self._vertices, self._faces, self._uv))
        material, group = np.concatenate(self._material), np.concatenate(self._group)
        first, second = vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
        cross = np.stack([
            first[:, 1] * second[:, 2] - first[:, 2] * second[:, 1],
            first[:, 2] * second[:, 0] - first[:, 0] * second[:, 2],
            first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0],
        ], axis=1)  # fmt: skip
        kept = np.einsum('ij,ij->i', cross, cross) > 1e-16
        faces, cross, material, group = faces[kept], cross[kept], material[kept], group[kept]
        surface = group * len(self._materials) + material
        key = faces * (surface.max() + 1) + surface[:, None]
        known, corner = np.unique(key.reshape(-1), return_inverse=True)
        source = known // (surface.max() + 1)
        # Three weights make the normal of a vertex the area-weighted mean of its triangles'.
        weights = cross.repeat(3, axis=0)
        normals = np.stack([np.bincount(corner, weights[:, axis], len(known)) for axis in range(3)], axis=1)
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        return Mesh(
            vertices[source].astype(np.float32),
            corner.reshape(-1, 3).astype(np.int32),
            normals.astype(np.float32),
            uv[source].astype(np.float32),
            material.astype(np.int32),
            tuple(self._materials),
        )


def _rings(line: NDArray, radius: NDArray, sides: int, flatten: float) -> NDArray:
    """Return (N, sides, 3) points around a polyline."""
    tangent = np.empty_like(line)
    tangent[0], tangent[-1] = line[1] - line[0], line[-1] - line[-2]
    tangent[1:-1] = line[2:] - line[:-2]
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    # One side vector for the whole line keeps the rings from twisting against each other.
    whole = line[-1] - line[0]
    helper = np.array([1.0, 0.0, 0.0]) if abs(whole[2]) > 0.8 * np.linalg.norm(whole) else np.array([0.0, 0.0, 1.0])
    across = np.stack([
        helper[1] * tangent[:, 2] - helper[2] * tangent[:, 1],
        helper[2] * tangent[:, 0] - helper[0] * tangent[:, 2],
        helper[0] * tangent[:, 1] - helper[1] * tangent[:, 0],
    ], axis=1)  # fmt: skip
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    third = np.cross(tangent, across)
    angle = (np.arange(sides) + 0.5) * (2 * np.pi / sides)
    ring = np.cos(angle)[None, :, None] * across[:, None] * flatten + np.sin(angle)[None, :, None] * third[:, None]
    return line[:, None] + radius[:, None, None] * ring

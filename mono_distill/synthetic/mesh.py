"""Triangle meshes with surface coordinates, smooth normals and materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.materials import Material
from mono_distill.utils.errors import ShapeError


@dataclass(frozen=True)
class Mesh:
    """Triangles. A vertex belongs to one surface: where two meet in an edge, each has vertices of its own.

    Attributes:
        vertices: (V, 3) float32, metres.
        faces: (F, 3) int32 indices into ``vertices``, counter-clockwise seen from outside.
        normals: (V, 3) float32 unit vectors pointing outward; shading interpolates them.
        uv: (V, 2) float32 surface coordinates, metres.
        material: (F,) int32 indices into ``materials``.
        materials: The materials in use.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    normals: NDArray[np.float32]
    uv: NDArray[np.float32]
    material: NDArray[np.int32]
    materials: tuple[Material, ...]

    def __post_init__(self) -> None:
        count = len(self.vertices)
        shapes = {'vertices': (count, 3), 'normals': (count, 3), 'uv': (count, 2)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ShapeError(f'Mesh.{name} must be {shape}, got {getattr(self, name).shape}')
        if self.faces.ndim != 2 or self.faces.shape[1] != 3 or self.material.shape != self.faces.shape[:1]:
            raise ShapeError(f'Mesh: faces {self.faces.shape} must be (F, 3), material {self.material.shape} (F,)')

    @property
    def bounds(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The lowest and highest coordinates, (3,) each, metres."""
        return self.vertices.min(axis=0), self.vertices.max(axis=0)

    def transformed(self, matrix: NDArray) -> Mesh:
        """Return the mesh moved by a (4, 4) matrix; a uniform or axis-wise scale is allowed, a reflection is not.

        Raises:
            ShapeError: The matrix is not (4, 4), or it reflects or flattens.
        """
        if np.shape(matrix) != (4, 4):
            raise ShapeError(f'Mesh.transformed needs a (4, 4) matrix, got {np.shape(matrix)}')
        linear = np.asarray(matrix, dtype=np.float64)[:3, :3]
        if not np.linalg.det(linear) > 0:
            raise ShapeError('Mesh.transformed: the matrix reflects or flattens; that would turn faces inside out')
        vertices = self.vertices @ linear.T + np.asarray(matrix, dtype=np.float64)[:3, 3]
        normals = self.normals @ np.linalg.inv(linear)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        return replace(self, vertices=vertices.astype(np.float32), normals=normals.astype(np.float32))

    def moved(self, x: float, y: float, z: float, yaw: float = 0.0) -> Mesh:
        """Return the mesh turned about the vertical axis by ``yaw`` (radians), then moved (metres)."""
        return self.transformed(pose_matrix(x, y, z, yaw))

    def scaled_to(self, length: float, width: float, height: float) -> Mesh:
        """Return the mesh stretched to exactly this extent, centred in x and y, its lowest point at ``z = 0``."""
        low, high = (bound.astype(np.float64) for bound in self.bounds)
        scale = np.array([length, width, height]) / np.maximum(high - low, 1e-6)
        matrix = np.eye(4)
        matrix[:3, :3] = np.diag(scale)
        matrix[:3, 3] = -scale * (low + high) / 2
        matrix[2, 3] = -scale[2] * low[2]
        return self.transformed(matrix)


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """Join meshes into one; equal materials are shared."""
    if not meshes:
        raise ShapeError('merge needs at least one mesh')
    table: dict[Material, int] = {}
    faces, material, offset = [], [], 0
    for mesh in meshes:
        index = np.array([table.setdefault(m, len(table)) for m in mesh.materials], dtype=np.int32)
        material.append(index[mesh.material])
        faces.append(mesh.faces + np.int32(offset))
        offset += len(mesh.vertices)
    return Mesh(
        vertices=np.concatenate([m.vertices for m in meshes]),
        faces=np.concatenate(faces),
        normals=np.concatenate([m.normals for m in meshes]),
        uv=np.concatenate([m.uv for m in meshes]),
        material=np.concatenate(material),
        materials=tuple(table),
    )


def pose_matrix(x: float, y: float, z: float, yaw: float, pitch: float = 0.0, roll: float = 0.0) -> NDArray[np.float64]:
    """Return the (4, 4) pose of something at ``x, y, z`` (metres), x forward, y left, z up.

    Args:
        x: Position, metres.
        y: Position, metres.
        z: Position, metres.
        yaw: Heading, radians, counter-clockwise seen from above.
        pitch: Nose up is positive, radians.
        roll: Left side up is positive, radians.
    """
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    nose = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
    lean = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ nose @ lean
    matrix[:3, 3] = x, y, z
    return matrix

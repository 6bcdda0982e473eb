"""Ray casting: a scene at one moment as triangles in Embree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mono_distill.synthetic.embree import EmbreeTriangles
from mono_distill.synthetic.materials import Material, material_table
from mono_distill.synthetic.mesh import Mesh
from mono_distill.synthetic.scene import Scene


@dataclass(frozen=True)
class Hits:
    """Where rays end.

    Attributes:
        distance: (N,) float32 metres along the unit direction; infinite where nothing was hit.
        triangle: (N,) int32 index of the triangle; -1 where nothing was hit.
        barycentric: (N, 2) float32 weights of the triangle's second and third corner.
    """

    distance: NDArray[np.float32]
    triangle: NDArray[np.int32]
    barycentric: NDArray[np.float32]


@dataclass(frozen=True)
class Triangles:
    """Triangles of many meshes, corner by corner.

    Attributes:
        corners: (F, 3, 3) float32 world coordinates, metres.
        normals: (F, 3, 3) float32 unit vectors at the corners.
        uv: (F, 3, 2) float32 surface coordinates, metres.
        material: (F,) int32 rows of ``table``.
        actor: (F,) int32 index of the actor, -1 for the background.
        table: (M, 12) float32, see :func:`~mono_distill.synthetic.materials.material_table`.
    """

    corners: NDArray[np.float32]
    normals: NDArray[np.float32]
    uv: NDArray[np.float32]
    material: NDArray[np.int32]
    actor: NDArray[np.int32]
    table: NDArray[np.float32]


class RayCaster:
    """A scene at one moment, ready for rays.

    What stands still is built once for a scene and kept with it; what moves is built anew.

    Args:
        scene: The scene.
        time: Seconds from its start.
        center: (3,) world point, metres; moving actors farther away than ``radius`` are left out.
        radius: Metres.
    """

    def __init__(self, scene: Scene, time: float, *, center: ArrayLike, radius: float = 130.0) -> None:
        self.scene = scene
        self.time = time
        middle = np.asarray(center, dtype=np.float64)
        still = _still(scene)
        self.poses = {
            index: still.poses[index] if index in still.poses else scene.actor_pose(actor, time)
            for index, actor in enumerate(scene.actors)
        }
        moving = [
            index
            for index, pose in self.poses.items()
            if index not in still.poses and np.linalg.norm(pose[:2, 3] - middle[:2]) <= radius
        ]
        self.present = sorted([*still.poses, *moving])
        self.triangles = still.triangles
        self._geometry = [still.geometry]
        if moving:
            bodies = _join(*_gather(scene, self.poses, moving, still.palette))
            self.triangles = _join(still.triangles, bodies)
            self._geometry.append(EmbreeTriangles(bodies.corners))

    def cast(self, origins: ArrayLike, directions: NDArray) -> Hits:
        """Return what each ray meets first.

        Args:
            origins: (3,) common or (N, 3) starting points, world, metres.
            directions: (N, 3) unit vectors, world.
        """
        starts, ways = self._rays(origins, directions)
        hits = Hits(*self._geometry[0].cast(starts, ways))
        for geometry in self._geometry[1:]:
            distance, triangle, barycentric = geometry.cast(starts, ways)
            nearer = distance < hits.distance
            hits.distance[nearer] = distance[nearer]
            # What moves comes after what stands still.
            hits.triangle[nearer] = triangle[nearer] + len(self.triangles.corners) - geometry.size
            hits.barycentric[nearer] = barycentric[nearer]
        return hits

    def blocked(self, origins: ArrayLike, directions: NDArray) -> NDArray[np.bool_]:
        """Return for each ray whether it meets anything; arguments as for :meth:`cast`."""
        starts, ways = self._rays(origins, directions)
        found = [geometry.blocked(starts, ways) for geometry in self._geometry]
        return np.logical_or.reduce(found)

    @staticmethod
    def _rays(origins: ArrayLike, directions: NDArray) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        ways = np.ascontiguousarray(directions, dtype=np.float32)
        starts = np.ascontiguousarray(np.broadcast_to(np.asarray(origins, dtype=np.float32), ways.shape))
        return starts, ways

    def actor_of(self, triangle: NDArray) -> NDArray[np.int32]:
        """Return the index of the actor that each triangle belongs to; -1 for the background or a miss."""
        return np.where(triangle < 0, -1, self.triangles.actor[np.maximum(triangle, 0)]).astype(np.int32)

    def body(self, actor_index: int) -> Mesh:
        """Return the mesh of an actor in world coordinates at this moment."""
        return self.scene.actors[actor_index].mesh.transformed(self.poses[actor_index])


@dataclass(frozen=True)
class _Palette:
    """The materials of a scene: the row of each, and the table."""

    rows: dict[Material, int]
    table: NDArray[np.float32]


@dataclass(frozen=True)
class _Still:
    """What stands still in a scene.

    Attributes:
        poses: Pose (4, 4) of each parked actor, by its index.
        triangles: The background's and theirs.
        geometry: The same in Embree.
        palette: Materials of all actors, the moving ones included.
    """

    poses: dict[int, NDArray[np.float64]]
    triangles: Triangles
    geometry: EmbreeTriangles
    palette: _Palette


def _still(scene: Scene) -> _Still:
    """Return what stands still, from the scene's own cache."""
    kept: _Still | None = scene.cache.get('still')
    if kept is None:
        rows: dict[Material, int] = {}
        for mesh in (scene.background, *(actor.mesh for actor in scene.actors)):
            for material in mesh.materials:
                rows.setdefault(material, len(rows))
        palette = _Palette(rows, material_table(list(rows)))
        poses = {
            index: scene.actor_pose(actor, 0.0) for index, actor in enumerate(scene.actors) if actor.track.speed == 0
        }
        background = _triangles(scene.background, -1, np.eye(4), palette)
        triangles = _join(background, *_gather(scene, poses, list(poses), palette))
        kept = _Still(poses, triangles, EmbreeTriangles(triangles.corners), palette)
        scene.cache['still'] = kept
    return kept


def _gather(scene: Scene, poses: Mapping[int, NDArray], actors: Sequence[int], palette: _Palette) -> list[Triangles]:
    """Return the triangles of some actors."""
    return [_triangles(scene.actors[index].mesh, index, poses[index], palette) for index in actors]


def _join(*parts: Triangles) -> Triangles:
    """Return the triangles of all parts in order; they share a palette."""
    names = ('corners', 'normals', 'uv', 'material', 'actor')
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Triangles(**columns, table=parts[0].table)


def _triangles(mesh: Mesh, actor: int, pose: NDArray, palette: _Palette) -> Triangles:
    """Return a mesh at a pose, corner by corner as the rays need it."""
    turn, shift = pose[:3, :3].astype(np.float32), pose[:3, 3].astype(np.float32)
    rows = np.array([palette.rows[material] for material in mesh.materials], dtype=np.int32)
    return Triangles(
        corners=(mesh.vertices @ turn.T + shift)[mesh.faces],
        normals=(mesh.normals @ turn.T)[mesh.faces],
        uv=mesh.uv[mesh.faces],
        material=rows[mesh.material],
        actor=np.full(len(mesh.faces), actor, dtype=np.int32),
        table=palette.table,
    )

"""What a camera sees of each actor: the box of its silhouette, the share outside the image, the share hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.camera import Camera, Rendering
from mono_distill.synthetic.embree import EmbreeTriangles
from mono_distill.synthetic.mesh import Mesh
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.scene import Scene

# Whatever is nearer to the pinhole's plane than this (metres) is cut off, for it has no finite pixel.
NEAR = 0.05
# Rays spent on one actor; visibility is then known to about 2 % of a large silhouette, exactly of a small one.
MAX_RAYS = 600


@dataclass(frozen=True)
class ActorView:
    """One actor in one image.

    Attributes:
        actor: Index into the scene's actors.
        bbox_full: (4,) x1, y1, x2, y2 of the whole silhouette, pixels; also where it leaves the image. Of an actor that
            reaches behind the camera, only what is before it counts.
        bbox: (4,) the same clipped to the image, that is to the centres of its outermost pixels as in KITTI.
        truncated: Share of the area of ``bbox_full`` outside the image, 0 to 1.
        visible: Share of the silhouette inside the image that nothing hides, 0 to 1.
        pixels: Area of the silhouette inside the image, hidden or not, pixels.
    """

    actor: int
    bbox_full: NDArray[np.float64]
    bbox: NDArray[np.float64]
    truncated: float
    visible: float
    pixels: float


def view_actors(caster: RayCaster, camera: Camera, rendering: Rendering) -> list[ActorView]:
    """Return the view of every actor whose silhouette touches the image, in the order of the scene.

    Args:
        caster: The scene at the moment of the rendering.
        camera: The camera.
        rendering: What it saw.
    """
    world2cam = np.linalg.inv(np.asarray(camera.cam2world, dtype=np.float64))
    cam2img = np.eye(4)[:3]
    given = np.asarray(camera.cam2img, dtype=np.float64)[:3]
    cam2img[:, : given.shape[1]] = given
    views = []
    for index in caster.present:
        mesh = caster.scene.actors[index].mesh
        actor2cam = world2cam @ caster.poses[index]
        # Most actors are behind the camera: a sphere around the body tells at little cost.
        radius = float(np.linalg.norm(caster.scene.actors[index].size))
        if actor2cam[2, 3] + radius < NEAR:
            continue
        full = silhouette_bbox(mesh, cam2img @ actor2cam)
        if full is None:
            continue
        height, width = camera.shape
        bbox = np.clip(full, 0, [width - 1, height - 1, width - 1, height - 1])
        if not (bbox[2:] > bbox[:2]).all():
            continue
        share = float(np.prod(bbox[2:] - bbox[:2]) / np.prod(full[2:] - full[:2]))
        visible, pixels = _visibility(caster.scene, index, actor2cam, camera, rendering.actor == index, bbox)
        views.append(ActorView(index, full, bbox, min(max(1 - share, 0.0), 1.0), visible, pixels))
    return views


def silhouette_bbox(mesh: Mesh, projection: NDArray) -> NDArray[np.float64] | None:
    """Return the box around a mesh's picture.

    Args:
        mesh: The mesh in any frame.
        projection: (3, 4) from that frame to homogeneous pixels, the third being the depth in metres.

    Returns:
        (4,) x1, y1, x2, y2 in pixels, not clipped to any image; None if all of it is behind the camera.
    """
    points = mesh.vertices @ projection[:, :3].T + projection[:, 3]
    front = points[:, 2] >= NEAR
    if not front.any():
        return None
    outline = points[front]
    if not front.all():
        outline = np.concatenate([outline, _cut_edges(points, front, mesh.faces)])
    pixels = outline[:, :2] / outline[:, 2:]
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])


def _cut_edges(points: NDArray, front: NDArray[np.bool_], faces: NDArray[np.int32]) -> NDArray:
    """Return where edges of triangles pass the near plane, (N, 3) homogeneous pixels."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[front[edges[:, 0]] != front[edges[:, 1]]]
    start, end = points[edges[:, 0]], points[edges[:, 1]]
    share = (NEAR - start[:, 2:]) / (end[:, 2:] - start[:, 2:])
    cut = start + share * (end - start)
    cut[:, 2] = NEAR
    return cut


def _visibility(
    scene: Scene, index: int, actor2cam: NDArray, camera: Camera, shown: NDArray[np.bool_], bbox: NDArray
) -> tuple[float, float]:
    """Return the visible share of an actor's silhouette and its area in pixels, from a regular grid of pixels.

    Where the picture shows the actor, its silhouette is; elsewhere a ray against the actor alone tells.
    """
    # The pixels that the box touches.
    first, last = np.floor(bbox.reshape(2, 2) + 0.5).astype(np.int64)
    size = last - first + 1
    step = max(1, int(np.ceil(np.sqrt(np.prod(size) / MAX_RAYS))))
    u, v = (np.arange(low, high + 1, step) for low, high in zip(first + (size - 1) % step // 2, last, strict=True))
    pixels = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    seen = shown[pixels[:, 1], pixels[:, 0]]
    hidden = _hits(scene, index, actor2cam, camera, pixels[~seen])
    count = int(seen.sum()) + hidden
    return (float(seen.sum()) / count if count else 0.0), float(count * step * step)


def _hits(scene: Scene, index: int, actor2cam: NDArray, camera: Camera, pixels: NDArray) -> int:
    """Count the pixels in which an actor would be seen if it were alone."""
    if not len(pixels):
        return 0
    # In the actor's own frame, in which its mesh never moves.
    turn = actor2cam[:3, :3]
    origin = (camera.pinhole - actor2cam[:3, 3]) @ turn
    directions = np.ascontiguousarray(camera.directions(pixels) @ turn, dtype=np.float32)
    origins = np.ascontiguousarray(np.broadcast_to(origin.astype(np.float32), directions.shape))
    return int(_alone(scene, index).blocked(origins, directions).sum())


def _alone(scene: Scene, index: int) -> EmbreeTriangles:
    """Return one actor, ready for rays; the scene keeps it, for the rays take a hundredth of the time to build it."""
    kept: dict[int, EmbreeTriangles] = scene.cache.setdefault('alone', {})
    if index not in kept:
        mesh = scene.actors[index].mesh
        kept[index] = EmbreeTriangles(mesh.vertices[mesh.faces])
    return kept[index]

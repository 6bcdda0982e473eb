"""Embree, which finds what a ray meets first among triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mono_distill.utils.errors import ConfigError


class EmbreeTriangles:
    """Triangles, ready for rays.

    Args:
        corners: (F, 3, 3) float32 corners, metres.

    Raises:
        ConfigError: embreex is not installed.
    """

    def __init__(self, corners: NDArray[np.float32]) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise ConfigError(
                f'the synthetic world needs Embree to trace rays ({error}): pip install embreex'
            ) from error
        self.size = len(corners)
        self._scene = EmbreeScene()
        # Embree keeps no reference of its own to the geometry.
        self._mesh = TriangleMesh(self._scene, np.ascontiguousarray(corners, dtype=np.float32))

    def cast(
        self, origins: NDArray[np.float32], directions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
        """Return what each ray meets first.

        Args:
            origins: (N, 3) contiguous float32, metres.
            directions: (N, 3) contiguous float32 unit vectors.

        Returns:
            Distance (N,) in metres, infinite for a miss; triangle (N,), -1 for a miss; weights (N, 2) of the
            triangle's second and third corner.
        """
        found = self._scene.run(origins, directions, output=1)
        missed = found['geomID'] < 0
        distance = np.where(missed, np.float32(np.inf), found['tfar'])
        triangle = np.where(missed, np.int32(-1), found['primID'])
        return distance, triangle, np.stack([found['u'], found['v']], axis=1)

    def blocked(self, origins: NDArray[np.float32], directions: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each ray (N,) whether it meets anything; arguments as for :meth:`cast`."""
        return self._scene.run(origins, directions, query='OCCLUDED') >= 0

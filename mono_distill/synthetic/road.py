"""The road of a scene: a curved centre line and the height of the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Road:
    """Centre line with slowly changing curvature, ground with slowly changing slope.

    The heading is a sum of two sines of the distance ``s``, and so is the height. Across the road the ground is level,
    except for a camber of the verge beyond the pavements.

    Attributes:
        bend: (2, 3) amplitude (radians), wavelength (metres) and phase (radians) of the heading.
        hill: (2, 3) amplitude of the slope (metres per metre), wavelength (metres) and phase (radians).
        lane_width: Metres.
        lanes: Number of lanes in each direction, (towards growing ``s``: right of the centre line, oncoming).
        kerb: Height of the pavement above the road, metres.
    """

    bend: tuple[tuple[float, float, float], ...]
    hill: tuple[tuple[float, float, float], ...]
    lane_width: float
    lanes: tuple[int, int]
    kerb: float

    # Step of the integration of the centre line, metres, and how far it goes: beyond the places of all bodies in the
    # longest scene.
    STEP = 0.5
    RANGE = (-1200.0, 2800.0)

    def _table(self) -> tuple[NDArray, NDArray]:
        """(N,) distances and (3, N) points of the centre line."""
        cached: tuple[NDArray, NDArray] | None = self.__dict__.get('_cached')
        if cached is None:
            s = np.arange(self.RANGE[0], self.RANGE[1] + self.STEP, self.STEP)
            heading = self.heading(s)
            middle = self.heading(s[:-1] + self.STEP / 2)
            x = np.concatenate([[0.0], np.cumsum(np.cos(middle) * self.STEP)])
            y = np.concatenate([[0.0], np.cumsum(np.sin(middle) * self.STEP)])
            origin = int(np.argmin(np.abs(s)))
            # The road passes the origin in the direction of x.
            turn = -heading[origin]
            x, y = x - x[origin], y - y[origin]
            x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
            cached = (s, np.stack([x, y, self.height(s)]))
            object.__setattr__(self, '_cached', cached)
        return cached

    def heading(self, s: ArrayLike) -> NDArray[np.float64]:
        """Return the direction of the centre line before it is turned to the x axis at ``s = 0``, radians."""
        distance = np.asarray(s, dtype=np.float64)
        return sum((a * np.sin(2 * np.pi * distance / w + p) for a, w, p in self.bend), np.zeros_like(distance))

    def direction(self, s: ArrayLike) -> NDArray[np.float64]:
        """Return the direction of the centre line in the world, radians."""
        return self.heading(s) - self.heading(0.0)

    def grade(self, s: ArrayLike) -> NDArray[np.float64]:
        """Return the slope of the ground along the road, metres per metre."""
        distance = np.asarray(s, dtype=np.float64)
        return sum((a * np.sin(2 * np.pi * distance / w + p) for a, w, p in self.hill), np.zeros_like(distance))

    def height(self, s: ArrayLike) -> NDArray[np.float64]:
        """Return the height of the road, metres; 0 at ``s = 0``."""
        distance = np.asarray(s, dtype=np.float64)
        terms = (a * w / (2 * np.pi) * (np.cos(p) - np.cos(2 * np.pi * distance / w + p)) for a, w, p in self.hill)
        return sum(terms, np.zeros_like(distance))

    def points(self, s: ArrayLike, offset: ArrayLike, height: ArrayLike = 0.0) -> NDArray[np.float64]:
        """Return world points ``(..., 3)`` at distances, offsets to the left and heights above the road."""
        s, offset, height = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (s, offset, height)))
        table_s, line = self._table()
        centre = np.stack([np.interp(s, table_s, line[axis]) for axis in range(3)], axis=-1)
        angle = self.direction(s)
        side = np.stack([-np.sin(angle) * offset, np.cos(angle) * offset, height], axis=-1)
        return centre + side

    @property
    def half_widths(self) -> tuple[float, float]:
        """Distance of the right and the left kerb from the centre line, metres (both positive)."""
        return self.lanes[0] * self.lane_width + 2.4, self.lanes[1] * self.lane_width + 2.4

    def surface_height(self, offset: float) -> float:
        """Return the height of the ground above the road at an offset: 0 on the road, the kerb beyond it."""
        right, left = self.half_widths
        return self.kerb if offset < -right or offset > left else 0.0

    def pose(self, s: float, offset: float, heading: float) -> NDArray[np.float64]:
        """Return the (4, 4) pose of a body on the ground: x forward, y left, z up, leaning with the slope."""
        position = self.points(s, offset, self.surface_height(offset))
        angle = float(self.direction(s))
        along = np.array([np.cos(angle), np.sin(angle), float(self.grade(s))])
        along /= np.linalg.norm(along)
        left = np.array([-np.sin(angle), np.cos(angle), 0.0])
        up = _cross(along, left)
        forward = np.cos(heading) * along + np.sin(heading) * left
        matrix = np.eye(4)
        matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = forward, _cross(up, forward), up
        matrix[:3, 3] = position
        return matrix


def _cross(first: NDArray, second: NDArray) -> NDArray:
    """Return the cross product of two vectors (3,); np.cross takes ten times as long for one."""
    (x1, y1, z1), (x2, y2, z2) = first, second
    return np.array([y1 * z2 - z1 * y2, z1 * x2 - x1 * z2, x1 * y2 - y1 * x2])

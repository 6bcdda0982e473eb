"""What surfaces look like to a camera and to a LiDAR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Color = tuple[float, float, float]


class Pattern(IntEnum):
    """Procedural textures, evaluated where a ray hits; ``u, v`` are the mesh's surface coordinates in metres."""

    PLAIN = 0
    """One colour with faint noise."""
    ASPHALT = 1
    """Fine grain, patches, tar seams along ``u``."""
    GRASS = 2
    """Noise on several scales."""
    FACADE = 3
    """Wall of ``color`` with a grid of windows of ``color2``, one period ``scale`` wide and high."""
    BRICKS = 4
    """Courses of bricks, ``scale`` metres wide, joints of ``color2``."""
    FOLIAGE = 5
    """Strong noise on the scale of twigs."""
    PAVING = 6
    """Slabs of ``scale`` metres, joints of ``color2``."""
    ROAD = 7
    """Asphalt with lane marks: ``u`` runs along the road, ``v`` is the offset from its centre line."""
    STRIPES = 8
    """Bands of ``color`` and ``color2``, one period ``scale`` high in ``v``."""
    BARK = 9
    """Noise stretched along ``v``."""


@dataclass(frozen=True)
class Material:
    """Looks of a surface.

    Attributes:
        color: Diffuse albedo, linear RGB, 0 to 1.
        pattern: Texture that modulates it.
        scale: Period of the texture, metres.
        contrast: Strength of the texture's noise, 0 to 1.
        color2: Second colour of two-coloured patterns.
        gloss: Share of light that is mirrored at normal incidence (0 matt, 0.05 car paint, 0.3 glass).
        emission: Light of its own (lamps), in units of white in full sun.
        reflectance: Diffuse reflectance for a LiDAR (905 nm), 0 to 1; above 1 for retro-reflectors.
    """

    color: Color
    pattern: Pattern = Pattern.PLAIN
    scale: float = 1.0
    contrast: float = 0.08
    color2: Color = (0.0, 0.0, 0.0)
    gloss: float = 0.0
    emission: float = 0.0
    reflectance: float = 0.3


# Columns of the table that the shading kernel reads.
TABLE_COLUMNS = (
    'r', 'g', 'b', 'pattern', 'scale', 'contrast', 'r2', 'g2', 'b2', 'gloss', 'emission', 'reflectance'
)  # fmt: skip


def material_table(materials: Sequence[Material]) -> NDArray[np.float32]:
    """Return ``(M, 12)`` numbers in the order of :data:`TABLE_COLUMNS`."""
    rows = [
        (*m.color, int(m.pattern), m.scale, m.contrast, *m.color2, m.gloss, m.emission, m.reflectance)
        for m in materials
    ]
    return np.array(rows, dtype=np.float32).reshape(-1, len(TABLE_COLUMNS))

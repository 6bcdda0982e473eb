"""Traffic cones and barriers."""

from __future__ import annotations

import numpy as np

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import Mesh

Size = tuple[float, float, float]

_WHITE_BAND = Material((0.68, 0.68, 0.66), contrast=0.02, reflectance=1.3)


def build_cone(size: Size, rng: np.random.Generator) -> Mesh:
    """Return a traffic cone with reflecting bands on a square foot."""
    builder = MeshBuilder()
    factor = float(rng.uniform(0.8, 1.1))
    orange = Material((0.62 * factor, 0.11 * factor, 0.012), contrast=0.04, reflectance=0.55)
    foot = orange if rng.random() < 0.4 else looks.BLACK_TRIM
    builder.box((0, 0, 0), (0.4, 0.4, 0.05), foot, taper=(0.9, 0.9))
    bands = [0.04, 0.42, 0.58, 0.70, 0.84, 1.07] if rng.random() < 0.7 else [0.04, 0.55, 0.8, 0.8, 0.8, 1.07]
    rings = []
    for z in bands:
        angle = np.arange(9) * (np.pi / 4)
        angle[-1] = 0
        radius = 0.155 - (0.155 - 0.028) * (z - 0.04) / 1.03
        rings.append(np.stack([np.cos(angle) * radius, np.sin(angle) * radius, np.full(9, z)], axis=1))
    cells = np.full((5, 8), builder.index(orange))
    cells[[1, 3]] = builder.index(_WHITE_BAND)
    builder.grid(np.stack(rings), cells)
    builder.polygon(rings[-1][:-1], orange)
    return builder.build().scaled_to(*size)


def build_barrier(kind: str, size: Size, rng: np.random.Generator) -> Mesh:
    """Return a barrier that stands across its own x axis.

    Args:
        kind: ``concrete`` (a wall with a sloping foot) or ``boards`` (striped boards on feet).
        size: Extent, metres: thin in x, wide in y.
        rng: Draws its looks.
    """
    return (_concrete if kind == 'concrete' else _boards)(size, rng)


def _concrete(size: Size, rng: np.random.Generator) -> Mesh:
    builder = MeshBuilder()
    length, width, height = size
    grey = float(rng.uniform(0.2, 0.42))
    color = (grey, grey * 0.98, grey * 0.93)
    if rng.random() < 0.3:
        color = (0.5, 0.1, 0.02) if rng.random() < 0.6 else (0.6, 0.6, 0.58)
    concrete = Material(color, contrast=0.15, reflectance=0.4)
    profile = np.array(
        [[0.5, 0], [0.5, 0.1], [0.3, 0.35], [0.2, 1], [-0.2, 1], [-0.3, 0.35], [-0.5, 0.1], [-0.5, 0], [0.5, 0]]
    )
    profile = profile * [length, height]
    right, left = (np.stack([profile[:, 0], np.full(9, y), profile[:, 1]], axis=1) for y in (-width / 2, width / 2))
    builder.grid(np.stack([left, right]), concrete, smooth=False)
    for ring, order in ((left, -1), (right, 1)):
        for part in ([0, 1, 6, 7], [1, 2, 5, 6], [2, 3, 4, 5]):
            builder.polygon(ring[part][::order], concrete)
    return builder.build().scaled_to(*size)


def _boards(size: Size, rng: np.random.Generator) -> Mesh:
    builder = MeshBuilder()
    length, width, height = size
    red = Material((0.60, 0.03, 0.02), contrast=0.03, reflectance=1.1)
    if rng.random() < 0.3:
        red = Material((0.55, 0.16, 0.02), contrast=0.03, reflectance=1.1)
    count = 8
    y = np.linspace(-width / 2, width / 2, count + 1)
    for low, high in ((0.68, 1.0), (0.3, 0.52)):
        for i in range(count):
            material = red if i % 2 else _WHITE_BAND
            middle = (y[i] + y[i + 1]) / 2
            builder.box((0, middle, low * height), (0.06, y[i + 1] - y[i], (high - low) * height), material)
    for side in (-1, 1):
        at = side * 0.42 * width
        builder.box((0, at, 0.0), (length, 0.12, 0.07 * height), looks.DARK_METAL)
        builder.box((-0.035, at, 0.05 * height), (0.05, 0.06, 0.93 * height), looks.METAL)
    builder.box((0, 0, 0.02 * height), (0.05, 0.8 * width, 0.02 * height), looks.DARK_METAL)
    return builder.build().scaled_to(*size)

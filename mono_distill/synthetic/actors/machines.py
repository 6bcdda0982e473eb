"""Construction machines."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.actors.heavy_vehicles import add_lamps, add_wheel_pairs
from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import Mesh

Size = tuple[float, float, float]


def _machine_paint(rng: np.random.Generator) -> Material:
    colors = [(0.55, 0.34, 0.02), (0.50, 0.20, 0.02), (0.55, 0.42, 0.05), (0.35, 0.36, 0.36)]
    red, green, blue = colors[int(rng.choice(4, p=[0.5, 0.2, 0.2, 0.1]))]
    factor = float(rng.uniform(0.75, 1.1))
    return Material((red * factor, green * factor, blue * factor), contrast=0.08, gloss=0.02, reflectance=0.5)


def build_excavator(size: Size, rng: np.random.Generator) -> Mesh:
    """Return a tracked excavator with its arm reaching forward."""
    length, width, height = size
    builder = MeshBuilder()
    paint = _machine_paint(rng)
    track = 0.62 * length
    x0 = -length / 2 + track / 2
    _add_tracks(builder, size, x0, track)
    builder.box((x0, 0, 0.008 * height), (0.5 * track, 0.5 * width, 0.3 * height), looks.UNDERBODY)
    builder.box((x0 - 0.06 * length, 0, 0.3 * height), (0.52 * length, 0.88 * width, 0.26 * height), paint)
    builder.box(
        (x0 - 0.24 * length, 0, 0.30 * height),
        (0.14 * length, 0.9 * width, 0.34 * height),
        looks.DARK_METAL,
        taper=(0.8, 0.95),
    )
    cab_x, cab_y = x0 + 0.1 * length, 0.22 * width
    builder.box((cab_x, cab_y, 0.5 * height), (0.24 * length, 0.36 * width, 0.14 * height), paint)
    builder.box(
        (cab_x, cab_y, 0.62 * height), (0.24 * length, 0.36 * width, 0.28 * height), looks.GLASS, taper=(0.85, 0.9)
    )
    builder.box((cab_x, cab_y, 0.895 * height), (0.23 * length, 0.35 * width, 0.025 * height), paint)
    arm = [
        (x0 + 0.12 * length, 0.5),
        (x0 + 0.3 * length, 0.97),
        (length / 2 - 0.06 * length, 0.72),
        (length / 2 - 0.1 * length, 0.16),
    ]
    for (xa, za), (xb, zb) in pairwise(arm):
        builder.tube(
            [[xa, -0.1 * width, za * height], [xb, -0.1 * width, zb * height]],
            0.085 * height,
            paint,
            sides=4,
            flatten=0.8,
        )
    builder.box(
        (length / 2 - 0.11 * length, -0.1 * width, 0.0),
        (0.2 * length, 0.36 * width, 0.2 * height),
        looks.DARK_METAL,
        taper=(0.6, 1.0),
    )
    return builder.build().scaled_to(*size)


def _add_tracks(builder: MeshBuilder, size: Size, x0: float, track: float) -> None:
    """Add the pair of crawler tracks, ``track`` metres long around ``x0``."""
    _, width, height = size
    for side in (-1, 1):
        y, tread = side * 0.39 * width, 0.22 * width
        ends = 0.24 * height
        profile = np.array([[0.5, 0.5], [0.42, 1], [-0.42, 1], [-0.5, 0.5], [-0.42, 0], [0.42, 0]])
        ring = np.stack([x0 + profile[:, 0] * track, np.zeros(6), profile[:, 1] * ends], axis=1)
        inner, outer = ring + [0, y - tread / 2, 0], ring + [0, y + tread / 2, 0]
        loop = np.r_[0:6, 0]
        builder.grid(np.stack([outer[loop], inner[loop]]), looks.TYRE, smooth=False)
        builder.polygon(outer[::-1], looks.DARK_METAL)
        builder.polygon(inner, looks.DARK_METAL)


def build_wheel_loader(size: Size, rng: np.random.Generator) -> Mesh:
    """Return a wheel loader with its bucket lowered in front."""
    length, width, height = size
    builder = MeshBuilder()
    paint = _machine_paint(rng)
    radius = 0.23 * height
    axles = [0.16 * length, -0.26 * length]
    add_wheel_pairs(builder, axles, 0.92 * width, radius, thick=0.22 * width)
    builder.box((-0.06 * length, 0, 0.008 * height), (0.7 * length, 0.4 * width, 0.4 * height), looks.UNDERBODY)
    builder.box(
        (-0.33 * length, 0, 0.28 * height), (0.34 * length, 0.62 * width, 0.3 * height), paint, taper=(0.9, 0.85)
    )
    builder.box((-0.06 * length, 0, 0.3 * height), (0.26 * length, 0.66 * width, 0.26 * height), paint)
    builder.box(
        (-0.08 * length, 0, 0.56 * height), (0.24 * length, 0.56 * width, 0.38 * height), looks.GLASS, taper=(0.8, 0.9)
    )
    builder.box((-0.08 * length, 0, 0.93 * height), (0.23 * length, 0.56 * width, 0.07 * height), paint)
    builder.box((0.14 * length, 0, 0.25 * height), (0.2 * length, 0.36 * width, 0.28 * height), paint, taper=(0.6, 0.8))
    for side in (-1, 1):
        arm = [[0.1 * length, side * 0.2 * width, 0.52 * height], [0.26 * length, side * 0.2 * width, 0.46 * height],
               [0.40 * length, side * 0.2 * width, 0.14 * height]]  # fmt: skip
        builder.tube(arm, 0.045 * height, paint, sides=4, flatten=0.6)
    half, x1 = width / 2, length / 2
    profile = np.array([[x1, 0.0], [x1 - 0.17 * length, 0.02], [x1 - 0.19 * length, 0.2], [x1 - 0.13 * length, 0.33]])
    sheet = np.stack([np.stack([profile[:, 0], np.full(4, y), profile[:, 1] * height], axis=1) for y in (half, -half)])
    sheet = sheet.transpose(1, 0, 2)
    # A bucket is open in front: seen from behind, and from inside.
    builder.grid(sheet, looks.DARK_METAL)
    thickness = np.array([0.0, 1.0, 1.0, 0.0])[:, None, None] * [0.03, 0, 0.02]
    builder.grid(sheet[:, ::-1] + thickness, looks.DARK_METAL)
    for side, column in ((1, 0), (-1, 1)):
        end = sheet[:, column][::side]
        builder.polygon(end, looks.DARK_METAL)
        builder.polygon(end[::-1] - [0, 0.03 * side, 0], looks.DARK_METAL)
    add_lamps(builder, -length / 2 - 0.004, -1, 0.26 * width, 0.42 * height, (0.16, 0.16))
    return builder.build().scaled_to(*size)

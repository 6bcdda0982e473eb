"""Wheels of road vehicles and cycles."""

from __future__ import annotations

import numpy as np

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.materials import Material


def add_wheel(
    builder: MeshBuilder,
    center: tuple[float, float, float],
    radius: float,
    width: float,
    *,
    rim: Material = looks.RIM,
    spokes: int = 5,
    sides: int = 11,
) -> None:
    """Add a road wheel with an upright disc; its outer face looks away from the plane ``y = 0``.

    Args:
        builder: Body to add to.
        center: Middle of the wheel's outer face, metres.
        radius: Of the tyre, metres.
        width: Of the tyre, metres.
        rim: Looks of the rim.
        spokes: Number of spokes; 0 makes a closed disc.
        sides: Number of sides of the tyre.
    """
    x, y, z = center
    out = 1.0 if y >= 0 else -1.0
    # Seen from outside, columns go right: that is backwards in x on the left of the vehicle.
    angle = np.linspace(0, -2 * np.pi, sides + 1) * -out
    angle[-1] = 0
    angle = angle + np.pi / sides + np.pi / 2
    angle[-1] = angle[0]
    circle = np.stack([np.cos(angle), np.zeros(sides + 1), np.sin(angle)], axis=1)
    profile = [(-width, 1.0), (-0.12 * width, 1.0), (-0.02, 0.63)]
    rings = [circle * radius * share + [x, y + out * depth, z] for depth, share in profile]
    # Going in from the tread to the rim, columns run the other way round.
    builder.grid(np.stack(rings)[:, ::-1], looks.TYRE)
    builder.polygon(rings[0][:-1], looks.TYRE)
    # Larger than its hole and behind it, so that no gap shows.
    _add_rim(builder, (x, y - out * 0.03, z), 0.8 * radius, out, rim, spokes)


def _add_rim(
    builder: MeshBuilder, center: tuple[float, float, float], radius: float, out: float, rim: Material, spokes: int
) -> None:
    count = 2 * spokes if spokes else 10
    angle = np.arange(count + 1) * (2 * np.pi / count) * -out
    if spokes:
        angle[1::2] += 0.12 * out
    circle = np.stack([np.cos(angle), np.zeros(count + 1), np.sin(angle)], axis=1) * radius
    middle = np.zeros((count + 1, 3)) + [0, 0.02 * out, 0]
    material = np.full((1, count), builder.index(rim))
    if spokes:
        material[:, 1::2] = builder.index(looks.BLACK_TRIM)
    builder.grid(np.stack([circle, middle]) + np.asarray(center), material)


def add_hoop(
    builder: MeshBuilder, center: tuple[float, float, float], radius: float, thickness: float, material: Material,
    *, sides: int = 14, turn: float = 0.0,
) -> None:  # fmt: skip
    """Add the open wheel of a cycle: a ring of square section in the plane ``y = center[1]``.

    Args:
        builder: Body to add to.
        center: Hub, metres.
        radius: Outer radius, metres.
        thickness: Of the tyre, metres.
        material: Its looks.
        sides: Number of sides.
        turn: Steering angle about the vertical axis, radians.
    """
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    angle[-1] = 0
    half = thickness / 2
    section = [
        (radius - half, -half),
        (radius, 0),
        (radius - half, half),
        (radius - thickness, 0),
        (radius - half, -half),
    ]
    rows = [np.stack([np.cos(angle) * r, np.full(sides + 1, y), np.sin(angle) * r], axis=1) for r, y in section]
    points = np.stack(rows)
    cos, sin = np.cos(turn), np.sin(turn)
    points = points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    builder.grid(points[:, ::-1] + np.asarray(center), material)

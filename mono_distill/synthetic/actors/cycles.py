"""Bicycles and motorcycles, parked or ridden."""

from __future__ import annotations

import numpy as np

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.actors.people import Outfit, add_head, add_limb, add_torso, draw_outfit
from mono_distill.synthetic.actors.wheels import add_hoop
from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import Mesh

Size = tuple[float, float, float]


def build_bicycle(kind: str, size: Size, rng: np.random.Generator) -> Mesh:
    """Return a bicycle.

    Args:
        kind: ``parked`` or ``rider``.
        size: Extent, metres.
        rng: Draws paint and the rider.
    """
    builder = MeshBuilder()
    _add_bicycle(builder, looks.car_paint(rng), rng)
    if kind == 'rider':
        _add_cyclist(builder, draw_outfit(rng), rng)
    return builder.build().scaled_to(*size)


def _add_bicycle(builder: MeshBuilder, paint: Material, rng: np.random.Generator) -> None:
    radius = 0.345
    rear, front, crank = np.array([-0.54, 0, radius]), np.array([0.54, 0, radius]), np.array([-0.08, 0, 0.29])
    seat, head, bar = np.array([-0.25, 0, 0.92]), np.array([0.36, 0, 0.86]), np.array([0.33, 0, 1.04])
    for hub in (rear, front):
        add_hoop(builder, (hub[0], 0, hub[2]), radius, 0.05, looks.TYRE)
        builder.tube([hub - [0, 0.05, 0], hub + [0, 0.05, 0]], 0.03, looks.METAL)
    for a, b in (
        (rear, crank),
        (rear, seat * [1, 1, 0.9]),
        (crank, seat),
        (crank, head - [0, 0, 0.12]),
        (seat * [1, 1, 0.88], head),
        (front, bar),
    ):
        builder.tube([a, b], 0.022, paint, sides=5, capped=False)
    builder.tube(
        [seat + [-0.14, 0, 0.02], seat + [0.0, 0, 0.03], seat + [0.13, 0, 0.0]], [0.08, 0.06, 0.025], looks.BLACK_TRIM
    )
    grip = 0.29
    builder.tube(
        [
            bar + [0.02 - 0.12, -grip, 0.02],
            bar + [0.04, -0.1, 0],
            bar + [0.04, 0.1, 0],
            bar + [0.02 - 0.12, grip, 0.02],
        ],
        0.018,
        looks.BLACK_TRIM,
        sides=5,
    )
    builder.tube([crank - [0, 0.1, 0], crank + [0, 0.1, 0]], 0.07, looks.DARK_METAL)
    builder.box(bar + [0.09, 0, -0.1], (0.06, 0.07, 0.07), looks.HEAD_LAMP)
    builder.box(seat + [-0.05, 0, -0.14], (0.04, 0.07, 0.07), looks.TAIL_LAMP)
    if rng.random() < 0.5:
        builder.box((-0.5, 0, 0.71), (0.36, 0.12, 0.03), looks.DARK_METAL)


def _add_cyclist(builder: MeshBuilder, outfit: Outfit, rng: np.random.Generator) -> None:
    lean = float(rng.uniform(0.22, 0.42))
    hip = np.array([-0.24, 0, 1.0])
    neck = hip + np.array([np.sin(lean), 0, np.cos(lean)]) * 0.56
    turn = float(rng.uniform(0, 2 * np.pi))
    for side in (-1, 1):
        phase = turn + (0 if side > 0 else np.pi)
        pedal = np.array([-0.08 + 0.17 * np.cos(phase), side * 0.11, 0.29 + 0.17 * np.sin(phase) + 0.06])
        knee = _joint(hip + [0, side * 0.1, -0.04], pedal, 0.47, forward=True)
        add_limb(builder, [hip + [0, side * 0.09, -0.02], knee, pedal], (0.10, 0.068, 0.048), outfit.legs, outfit.legs)
        builder.tube(
            [pedal - [0.06, 0, 0.02], pedal + [0.06, 0, -0.03], pedal + [0.15, 0, -0.04]],
            [0.045, 0.045, 0.03],
            outfit.shoes,
        )
        _add_rider_arm(builder, outfit, side, neck, np.array([0.27, side * 0.27, 1.08]))
    add_torso(builder, hip, neck, outfit)
    helmet = looks.cloth(rng) if rng.random() < 0.5 else None
    add_head(builder, neck, outfit, helmet=helmet)


def _joint(start: np.ndarray, end: np.ndarray, bone: float, *, forward: bool) -> np.ndarray:
    """Return the knee or elbow between two points at two bones' length, bent forward (or backward and down)."""
    middle, span = (start + end) / 2, end - start
    reach = float(np.linalg.norm(span))
    height = np.sqrt(max(bone**2 - reach**2 / 4, 0.0))
    side = np.array([-span[2], 0, span[0]]) / max(reach, 1e-6)
    if (side[0] < 0) == forward:
        side = -side
    return middle + side * height


def _add_rider_arm(builder: MeshBuilder, outfit: Outfit, side: int, neck: np.ndarray, grip: np.ndarray) -> None:
    shoulder = neck + [0.0, side * 0.18 * outfit.bulk, -0.07]
    elbow = _joint(shoulder, grip, 0.31, forward=False) + [0, side * 0.04, 0]
    add_limb(builder, [shoulder, elbow, grip], (0.06, 0.048, 0.038), outfit.top, outfit.sleeves)
    builder.ellipsoid(grip, (0.05, 0.04, 0.04), outfit.skin, rows=3, sides=5)


def build_motorcycle(kind: str, size: Size, rng: np.random.Generator) -> Mesh:
    """Return a motorcycle.

    Args:
        kind: ``parked`` or ``rider``.
        size: Extent, metres.
        rng: Draws paint and the rider.
    """
    builder = MeshBuilder()
    paint = looks.car_paint(rng)
    _add_motorcycle(builder, paint)
    if kind == 'rider':
        _add_motorcyclist(builder, draw_outfit(rng), rng)
    return builder.build().scaled_to(*size)


def _add_motorcycle(builder: MeshBuilder, paint: Material) -> None:
    radius = 0.32
    rear, front, bar = np.array([-0.70, 0, radius]), np.array([0.72, 0, radius]), np.array([0.42, 0, 1.0])
    for hub, thick in ((rear, 0.16), (front, 0.12)):
        add_hoop(builder, (hub[0], 0, hub[2]), radius, thick, looks.TYRE)
        builder.tube([hub - [0, 0.03, 0], hub + [0, 0.03, 0]], 0.2, looks.METAL, sides=10)
    for side in (-1, 1):
        builder.tube([front + [0, side * 0.09, 0], bar + [0, side * 0.09, 0]], 0.03, looks.METAL, sides=5)
        builder.tube(
            np.stack([rear + [0, side * 0.08, 0], np.array([-0.1, side * 0.1, 0.36])]), 0.035, looks.DARK_METAL, sides=5
        )
    builder.box((0.08, 0, 0.2), (0.5, 0.3, 0.4), looks.DARK_METAL, taper=(0.8, 0.8))
    builder.ellipsoid((0.14, 0, 0.82), (0.34, 0.17, 0.17), paint, rows=5)
    builder.tube([[-0.85, 0, 0.86], [-0.5, 0, 0.8], [-0.05, 0, 0.78]], [0.09, 0.14, 0.13], looks.BLACK_TRIM, sides=6)
    builder.tube([[-0.98, 0, 0.78], [-0.6, 0, 0.66], [0.0, 0, 0.62]], [0.06, 0.12, 0.16], paint, sides=6)
    builder.tube([[0.44, 0, 0.68], [0.72, 0, 0.68], [0.98, 0, 0.56]], [0.06, 0.085, 0.05], paint, sides=6)
    builder.tube([[0.2, 0.17, 0.3], [-0.4, 0.18, 0.3], [-0.88, 0.2, 0.42]], [0.04, 0.06, 0.07], looks.CHROME, sides=6)
    builder.tube(
        [bar + [-0.14, -0.37, 0.04], bar + [0, -0.15, 0.02], bar + [0, 0.15, 0.02], bar + [-0.14, 0.37, 0.04]],
        0.024,
        looks.BLACK_TRIM,
        sides=5,
    )
    builder.ellipsoid((0.56, 0, 0.92), (0.12, 0.13, 0.13), paint)
    builder.ellipsoid((0.62, 0, 0.92), (0.08, 0.10, 0.10), looks.HEAD_LAMP)
    builder.box((0.42, 0, 1.02), (0.02, 0.3, 0.2), looks.GLASS, taper=(1.0, 0.7), shift=-0.1)
    for side in (-1, 1):
        builder.tube(
            [bar + [-0.06, side * 0.22, 0.04], bar + [-0.08, side * 0.3, 0.2]],
            [0.012, 0.012],
            looks.BLACK_TRIM,
            sides=4,
        )
        builder.ellipsoid(bar + [-0.08, side * 0.3, 0.22], (0.02, 0.07, 0.045), looks.BLACK_TRIM, rows=3, sides=6)
    builder.box((-1.0, 0, 0.72), (0.05, 0.16, 0.08), looks.TAIL_LAMP)
    builder.box((-1.03, 0, 0.5), (0.02, 0.2, 0.16), looks.PLATE_WHITE)
    builder.box((0, 0, 0.01), (1.1, 0.08, 0.25), looks.UNDERBODY)


def _add_motorcyclist(builder: MeshBuilder, outfit: Outfit, rng: np.random.Generator) -> None:
    lean = float(rng.uniform(0.12, 0.4))
    hip = np.array([-0.3, 0, 0.97])
    neck = hip + np.array([np.sin(lean), 0, np.cos(lean)]) * 0.55
    for side in (-1, 1):
        foot = np.array([-0.12, side * 0.2, 0.36])
        knee = np.array([0.1, side * 0.22, 0.78])
        add_limb(builder, [hip + [0, side * 0.1, -0.02], knee, foot], (0.105, 0.075, 0.055), outfit.legs, outfit.legs)
        builder.tube(
            [foot - [0.08, 0, 0.02], foot + [0.04, 0, -0.03], foot + [0.17, 0, -0.04]],
            [0.05, 0.05, 0.035],
            looks.BLACK_TRIM,
        )
        _add_rider_arm(builder, outfit, side, neck, np.array([0.3, side * 0.34, 1.05]))
    add_torso(builder, hip, neck, outfit)
    helmet = looks.car_paint(rng)
    builder.tube([neck - [0, 0, 0.03], neck + [0.015, 0, 0.09]], 0.06, outfit.top, sides=5, capped=False)
    builder.ellipsoid(neck + [0.035, 0, 0.18], (0.135, 0.12, 0.15), helmet, rows=5)
    builder.ellipsoid(neck + [0.085, 0, 0.19], (0.10, 0.095, 0.06), looks.GLASS)

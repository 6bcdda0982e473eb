"""Lorries, trailers and buses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.actors.wheels import add_wheel
from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import Mesh

Size = tuple[float, float, float]


def add_face(
    builder: MeshBuilder, x: float, out: float, half: tuple[float, float], low: float, high: float, material: Material
) -> None:
    """Add an upright panel facing forward (``out`` 1) or backward (-1), from ``half[0]`` to ``half[1]`` in y."""
    left, right = (half[0], half[1]) if out > 0 else (half[1], half[0])
    builder.polygon([[x, left, low], [x, right, low], [x, right, high], [x, left, high]], material)


def add_side_panel(
    builder: MeshBuilder, span: tuple[float, float], y: float, low: float, high: float, material: Material
) -> None:
    """Add an upright panel that faces away from ``y = 0``, from ``span[0]`` to ``span[1]`` in x (rear to front)."""
    first, second = (span[0], span[1]) if y < 0 else (span[1], span[0])
    builder.polygon([[first, y, low], [second, y, low], [second, y, high], [first, y, high]], material)


def add_lamps(
    builder: MeshBuilder, x: float, out: float, half_width: float, low: float, size: tuple[float, float]
) -> None:
    """Add a pair of lamps: whitish in front, red behind."""
    material = looks.HEAD_LAMP if out > 0 else looks.TAIL_LAMP
    for side in (-1, 1):
        inner, outer = side * (half_width - size[0]), side * half_width
        add_face(builder, x, out, (min(inner, outer), max(inner, outer)), low, low + size[1], material)


def add_wheel_pairs(
    builder: MeshBuilder, axles: list[float], width: float, radius: float, *, thick: float = 0.3
) -> None:
    """Add a pair of wheels at each of ``axles`` (x, metres) on a vehicle of that ``width``."""
    for x in axles:
        for side in (-1, 1):
            add_wheel(
                builder, (x, side * (width / 2 - 0.03), radius), radius, thick, rim=looks.METAL, spokes=0, sides=10
            )


def _add_chassis(builder: MeshBuilder, span: tuple[float, float], width: float, top: float, height: float) -> None:
    middle, low = (span[0] + span[1]) / 2, 0.008 * height
    builder.box((middle, 0, low), (span[1] - span[0], 0.6 * width, top - low), looks.UNDERBODY)


def _add_cab(
    builder: MeshBuilder, nose: float, length: float, width: float, low: float, high: float, paint: Material
) -> None:
    """Add a lorry's cab whose front is at ``nose``."""
    half = width / 2 - 0.04
    belt = low + 0.45 * (high - low)
    x0, x1, x2 = nose - length, nose - 0.16, nose
    rake = 0.14
    outline = np.array(
        [[x0, half], [x1, half], [x2, half * 0.86], [x2, -half * 0.86], [x1, -half], [x0, -half], [x0, half]]
    )
    upper = outline.copy()
    upper[1:5, 0] -= rake
    upper[:, 1] *= 0.93
    levels = [(outline, low), (outline, low + 0.18 * (high - low)), (outline, belt), (upper, high - 0.1), (upper, high)]
    rows = []
    for i, (ring, z) in enumerate(levels):
        ring = ring.copy()
        if i == 4:
            ring[:, 1] *= 0.9
            ring[1:5, 0] -= 0.18
        rows.append(np.concatenate([ring[::-1], np.full((7, 1), z)], axis=1))
    points = np.stack(rows)
    cells = np.full((4, 6), builder.index(paint))
    cells[0] = builder.index(looks.BLACK_TRIM)
    cells[2, 1:4] = builder.index(looks.GLASS)
    group = np.arange(24).reshape(4, 6)
    builder.grid(points, cells, group=group)
    builder.polygon(points[-1][:-1], paint)
    z = belt + 0.08
    for side in (-1, 1):
        y = side * (half + 0.004)
        glass = [[x1 - 0.12, y, belt], [x0 + 0.3 * length, y, belt], [x0 + 0.3 * length, y * 0.945, high - 0.2],
                 [x1 - 0.24, y * 0.945, high - 0.2]]  # fmt: skip
        builder.polygon(glass if side > 0 else glass[::-1], looks.GLASS)
        builder.box((x1 + 0.02, side * (width / 2 - 0.07), z), (0.1, 0.14, 0.42), looks.BLACK_TRIM)
    add_lamps(builder, x2 + 0.006, 1, half * 0.84, low + 0.2 * (high - low), (0.3, 0.2))
    add_face(
        builder, x2 + 0.005, 1, (-half * 0.5, half * 0.5), low + 0.22 * (high - low), belt - 0.12, looks.BLACK_TRIM
    )
    add_face(builder, x2 + 0.008, 1, (-0.26, 0.26), low + 0.06, low + 0.18, looks.PLATE_WHITE)


def _add_rear(builder: MeshBuilder, x: float, width: float, floor: float) -> None:
    """Add the under-run bar with lamps and plate at the rear end ``x``."""
    builder.box((x + 0.06, 0, floor - 0.42), (0.12, 0.9 * width, 0.2), looks.DARK_METAL)
    add_lamps(builder, x - 0.006, -1, 0.44 * width, floor - 0.40, (0.35, 0.16))
    add_face(builder, x - 0.006, -1, (-0.26, 0.26), floor - 0.38, floor - 0.27, looks.PLATE_WHITE)


def _add_cargo_box(
    builder: MeshBuilder, span: tuple[float, float], width: float, floor: float, height: float, paint: Material,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Add a closed cargo box with frame, rear doors and perhaps lettering."""
    middle = (span[0] + span[1]) / 2
    builder.box((middle, 0, floor), (span[1] - span[0], width, height - floor), paint)
    frame = looks.shaded(paint, 0.55) if rng.random() < 0.5 else looks.METAL
    rear, half = span[0], width / 2
    for low, high in ((floor, floor + 0.1), (height - 0.12, height - 0.01)):
        add_face(builder, rear - 0.004, -1, (-half, half), low, high, frame)
    for y in (-half, -0.03, half - 0.08):
        add_face(builder, rear - 0.005, -1, (y, y + (0.06 if y > -half / 2 and y < 0 else 0.08)), floor, height, frame)
    for side in (-1, 1):
        add_side_panel(builder, span, side * (half + 0.003), floor, floor + 0.13, frame)
        if rng.random() < 0.7:
            a, b = middle - 0.3 * (span[1] - span[0]), middle + 0.25 * (span[1] - span[0])
            z = floor + 0.5 * (height - floor)
            add_side_panel(
                builder, (a, b), side * (half + 0.004), z, z + 0.25 * (height - floor), looks.work_paint(rng)
            )


def build_box_truck(size: Size, rng: np.random.Generator) -> Mesh:
    """Return a lorry with a closed cargo box."""
    length, width, height = size
    builder, nose = MeshBuilder(), length / 2
    radius = 0.17 * height
    cab = min(1.9, 0.28 * length)
    low, floor = 0.16 * height, 0.34 * height
    _add_cab(builder, nose, cab, 0.92 * width, low, height * rng.uniform(0.76, 0.9), looks.work_paint(rng))
    span = (-length / 2 + 0.02, nose - cab - 0.08)
    _add_cargo_box(builder, span, width, floor, height, looks.work_paint(rng), rng)
    _finish_lorry(builder, size, radius, floor, cab)
    return builder.build().scaled_to(*size)


def _finish_lorry(builder: MeshBuilder, size: Size, radius: float, floor: float, cab: float) -> None:
    length, width, height = size
    axles = [length / 2 - 0.62 * cab, -length / 2 + 0.22 * length]
    add_wheel_pairs(builder, axles, 0.95 * width, radius)
    _add_chassis(builder, (-length / 2 + 0.1, length / 2 - 0.15), width, floor, height)
    _add_rear(builder, -length / 2, width, floor)
    for side in (-1, 1):
        x = (axles[0] + axles[1]) / 2
        builder.box(
            (x, side * 0.36 * width, 0.14 * height), (0.22 * length, 0.18 * width, 0.17 * height), looks.DARK_METAL
        )


def build_flatbed(size: Size, rng: np.random.Generator) -> Mesh:
    """Return a lorry with an open bed and something on it."""
    length, width, height = size
    builder, nose = MeshBuilder(), length / 2
    radius, cab = 0.18 * height, min(1.9, 0.3 * length)
    floor = 0.38 * height
    paint = looks.work_paint(rng)
    _add_cab(builder, nose, cab, 0.9 * width, 0.16 * height, height, paint)
    x0, x1 = -length / 2 + 0.02, nose - cab - 0.1
    middle, wall = (x0 + x1) / 2, 0.16 * height
    side_paint = paint if rng.random() < 0.5 else looks.METAL
    builder.box((middle, 0, floor), (x1 - x0, width, 0.06), looks.DARK_METAL)
    for side in (-1, 1):
        builder.box((middle, side * (width / 2 - 0.03), floor), (x1 - x0, 0.06, wall), side_paint)
    builder.box((x0 + 0.03, 0, floor), (0.06, width, wall), side_paint)
    builder.box((x1 - 0.04, 0, floor), (0.08, width, 0.45 * (height - floor)), looks.DARK_METAL)
    for _ in range(int(rng.integers(1, 4))):
        dx, dy, dz = rng.uniform([0.5, 0.8, 0.2], [1.6, 1.8, 0.75]) * [1, width / 2.5, height - floor - 0.1]
        x = rng.uniform(x0 + 0.1 + dx / 2, x1 - 0.15 - dx / 2)
        builder.box((x, 0, floor + 0.06), (dx, dy, dz), looks.shaded(looks.work_paint(rng), 0.5))
    _finish_lorry(builder, size, radius, floor, cab)
    return builder.build().scaled_to(*size)


def build_trailer(size: Size, rng: np.random.Generator) -> Mesh:
    """Return the box trailer of an articulated lorry, without its tractor."""
    length, width, height = size
    builder = MeshBuilder()
    floor, radius = 0.3 * height, 0.5
    _add_cargo_box(builder, (-length / 2 + 0.02, length / 2), width, floor, height, looks.work_paint(rng), rng)
    add_wheel_pairs(builder, [-length / 2 + 0.12 * length + 1.3 * i for i in range(3)], 0.97 * width, radius)
    _add_chassis(builder, (-length / 2 + 0.1, length / 2 - 0.8), 1.1 * width, floor, height)
    _add_rear(builder, -length / 2, width, floor)
    for side in (-1, 1):
        builder.box((0.27 * length, side * 0.3 * width, 0), (0.14, 0.14, floor), looks.DARK_METAL)
        builder.box(
            (0.06 * length, side * 0.46 * width, 0.11 * height), (0.3 * length, 0.05, 0.11 * height), looks.METAL
        )
    return builder.build().scaled_to(*size)


def build_bus(size: Size, rng: np.random.Generator) -> Mesh:
    """Return a city bus: rounded roof, ribbon windows, doors on the right."""
    length, width, height = size
    builder = MeshBuilder()
    paint = looks.work_paint(rng)
    lower = paint if rng.random() < 0.5 else looks.work_paint(rng)
    half, low = width / 2, 0.1 * height
    sill, top = 0.36 * height, 0.80 * height
    levels = [low, sill, top, 0.93 * height, height]
    inset = [0.0, 0.0, 0.03, 0.07, 0.3]
    x = np.linspace(-length / 2, length / 2, 9)
    rows = np.stack([
        np.stack([x[::-1] * (1 - 0.012 * i / 4), np.full(9, half - inset[i]), np.full(9, levels[i])], axis=1)
        for i in range(5)
    ])  # fmt: skip
    cells = np.full((4, 8), builder.index(paint))
    cells[0] = builder.index(lower)
    glass = builder.index(looks.GLASS)
    cells[1] = glass
    builder.grid(rows, cells, group=np.array([0, 1, 0, 2])[:, None].repeat(8, axis=1))
    right = cells.copy()
    right[0, [0, 4]] = glass
    builder.grid((rows * [1, -1, 1])[:, ::-1], right[:, ::-1], group=np.array([0, 1, 0, 2])[:, None].repeat(8, axis=1))
    for k in range(1, 8):
        for side in (-1, 1):
            add_side_panel(
                builder, (x[k] - 0.06, x[k] + 0.06), side * (half + 0.004 - 0.01), sill, top, looks.BLACK_TRIM
            )
    _add_bus_ends(builder, size, rows, (paint, lower))
    builder.box(
        (-0.2 * length, 0, height - 0.02), (0.3 * length, 0.6 * width, 0.1), looks.GREY_PLASTIC, taper=(0.9, 0.85)
    )
    add_wheel_pairs(builder, [0.27 * length, -0.26 * length], width + 0.13, 0.5)
    for axle in (0.27 * length, -0.26 * length):
        for side in (-1, 1):
            _add_arch(builder, axle, side * (half + 0.006), 0.5)
    _add_chassis(builder, (-length / 2 + 0.4, length / 2 - 0.4), width, sill, height)
    return builder.build().scaled_to(*size)


def _add_arch(builder: MeshBuilder, x: float, y: float, radius: float) -> None:
    """Add the dark opening behind a wheel as a half disc just outside a flat side."""
    angle = np.linspace(-0.2, np.pi + 0.2, 9) if y < 0 else np.linspace(np.pi + 0.2, -0.2, 9)
    points = np.stack(
        [x + 1.18 * radius * np.cos(angle), np.full(9, y), radius + 1.18 * radius * np.sin(angle)], axis=1
    )
    builder.polygon(points, looks.UNDERBODY)


def _add_bus_ends(builder: MeshBuilder, size: Size, rows: NDArray, paints: tuple[Material, Material]) -> None:
    length, width, height = size
    paint, lower = paints
    across = np.array([-1.0, -0.88, 0.0, 0.88, 1.0])
    roof = []
    for out in (1.0, -1.0):
        edge = rows[:, 0] if out > 0 else rows[:, -1]
        points = np.stack([
            np.stack([e[0] + out * 0.14 * (1 - across**2), e[1] * across * out, np.full(5, e[2])], axis=1) for e in edge
        ])  # fmt: skip
        roof.append(points[-1])
        cells = np.full((4, 4), builder.index(paint))
        cells[0] = builder.index(lower)
        cells[1, 1:3] = builder.index(looks.GLASS)
        if out > 0:
            cells[1] = builder.index(looks.GLASS)
            cells[2, 1:3] = builder.index(looks.BLACK_TRIM)
        builder.grid(points, cells, group=np.arange(4)[:, None].repeat(4, axis=1))
        x = float(points[0, 1, 0]) + out * 0.02
        add_lamps(builder, x, out, 0.45 * width, (0.17 if out > 0 else 0.22) * height, (0.28, 0.2 if out > 0 else 0.38))
        add_face(
            builder,
            out * (length / 2 + 0.145),
            out,
            (-0.26, 0.26),
            0.15 * height,
            0.15 * height + 0.12,
            looks.PLATE_WHITE,
        )
    builder.polygon(np.concatenate(roof), paint)
    # The destination display.
    add_face(builder, length / 2 + 0.08, 1, (-0.55, 0.55), 0.835 * height, 0.90 * height, looks.INDICATOR)

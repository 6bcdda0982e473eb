"""Cars and vans: a lofted lower body, a greenhouse on top of it, wheels, lamps and trim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.actors.car_shapes import CarShape, draw_shape
from mono_distill.synthetic.actors.greenhouse import add_greenhouse
from mono_distill.synthetic.actors.wheels import add_wheel
from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import Mesh

# Angles around a wheel arch, degrees from the front; the ends sit on the sill.
_ARCH = np.radians([0.0, 32.0, 72.0, 108.0, 148.0, 180.0])


@dataclass(frozen=True)
class Shell:
    """Lower body of a car: columns run once around it from the middle of the front, seen from above ccw.

    Attributes:
        points: (6, C, 3) from the lower edge to the shoulder, metres; first and last column coincide.
        front: Columns per side that belong to the front.
        side: Columns per side that belong to the side.
        rear: Columns per side that belong to the rear.
    """

    points: NDArray[np.float64]
    front: int
    side: int
    rear: int

    @property
    def left(self) -> NDArray[np.float64]:
        """(6, S, 3) columns of the left side, from front to rear."""
        return self.points[:, self.front : self.front + self.side]


def build_car(kind: str, size: tuple[float, float, float], rng: np.random.Generator) -> Mesh:
    """Return a car.

    Args:
        kind: One of :data:`car_shapes.SHAPES`.
        size: Length, width and height, metres.
        rng: Draws proportions, paint and trim.

    Returns:
        Mesh that fills ``size``; x forward.
    """
    shape = draw_shape(kind, rng)
    paint = looks.car_paint(rng) if kind != 'van' else looks.work_paint(rng)
    builder = MeshBuilder()
    shell = _shell(shape, size)
    _add_shell(builder, shell, shape, paint, rng)
    _add_decks(builder, shell, shape, size, paint)
    rim = shell.points[5, shell.front : shell.front + shell.side + 1]
    add_greenhouse(builder, shape, size, rim, paint, rng)
    _add_underbody(builder, shell, size)
    _add_wheels(builder, shape, size, rng)
    _add_seams(builder, shell, shape, size)
    _add_lines(builder, shell, rng)
    _add_badges(builder, shell, shape, size)
    _add_plates(builder, shell, shape, size, rng)
    _add_mirrors(builder, shape, size, paint, rng)
    return builder.build().scaled_to(*size)


def _shell(shape: CarShape, size: tuple[float, float, float]) -> Shell:
    """Lay out the lower body."""
    length, width, height = size
    radius = 1.17 * shape.wheel * height
    sill = 0.135 * height
    rise = np.sqrt(max(radius**2 - (sill - shape.wheel * height) ** 2, 1e-4))
    angle_x = np.cos(_ARCH) * radius
    angle_x[[0, -1]] = rise, -rise
    hubs = [length * (0.5 - axle) for axle in shape.axles]
    room = np.array([length / 2 - hubs[0] - rise, hubs[1] - rise + length / 2])
    bow, tail_bow = np.minimum(np.array([0.06, 0.048]) * shape.nose * width, 0.33 * room)
    front = np.array([[0.0, 0.0], [0.12, 0.40], [0.50, 0.66], [1.25, 0.86]]) * [bow, width / 2]
    rear = np.array([[1.1, 0.87], [0.35, 0.70], [0.06, 0.42], [0.0, 0.0]]) * [tail_bow, width / 2]
    arch_z = np.sin(_ARCH) * radius + shape.wheel * height
    arch_z[[0, -1]] = sill
    middle = np.linspace(hubs[0] - rise, hubs[1] + rise, 4)[1:-1]
    corner_f = length / 2 - max(2.3 * bow, 0.5 * room[0])
    corner_r = -length / 2 + max(2.3 * tail_bow, 0.5 * room[1])
    side_x = np.concatenate([[corner_f], hubs[0] + angle_x, middle, hubs[1] + angle_x, [corner_r]])
    lower = np.concatenate([[sill], arch_z, [sill, sill], arch_z, [sill]])
    bulge = np.interp(
        side_x, [-length / 2, -length * 0.38, 0, length * 0.36, length / 2], [0.93, 0.985, 1, 0.985, 0.92]
    )
    plan = np.concatenate([
        np.stack([length / 2 - front[:, 0], front[:, 1]], axis=1),
        np.stack([side_x, bulge * width / 2], axis=1),
        np.stack([-length / 2 + rear[:, 0], rear[:, 1]], axis=1),
    ])  # fmt: skip
    points = _rows(shape, size, plan, lower, len(front), len(rear))
    mirrored = points[:, -2::-1] * [1, -1, 1]
    return Shell(np.concatenate([points, mirrored], axis=1), len(front), len(side_x), len(rear))


def _rows(
    shape: CarShape, size: tuple[float, float, float], plan: NDArray, lower: NDArray, front: int, rear: int
) -> NDArray[np.float64]:
    """Return (6, C, 3) points of the left half from its widest outline ``plan`` (C, 2)."""
    length, width, height = size
    x = plan[:, 0]
    # Heights of the six rows at the nose, at the windscreen and at the tail, shares of the height.
    lip, cowl, tail = shape.lip, shape.cowl, shape.tail
    nose_z = np.array([0.13, 0.215, 0.33 * lip / 0.5, lip - 0.105, lip - 0.022, lip])
    cowl_z = np.array([0.135, 0.21, 0.36 * cowl / 0.61, cowl - 0.14, cowl - 0.03, cowl])
    tail_z = np.array([0.135, 0.225, 0.37 * tail / 0.65, tail - 0.20, tail - 0.025, tail])
    cowl_x = length * (0.5 - shape.pillars[0].base)
    stations = [-length / 2, cowl_x, length / 2 - 0.03 * length]
    z = np.stack([np.interp(x, stations, [tail_z[i], cowl_z[i], nose_z[i]]) for i in range(6)]) * height
    bottom = np.concatenate([np.full(front, z[0, 0]), lower, np.full(rear, z[0, -1])])
    step = np.minimum(0.05 * height, (z[5] - bottom) / 6)
    for row in range(5):
        z[row] = np.maximum(z[row], bottom + row * step) if row else bottom
    inset = np.empty((6, len(plan)))
    steep = 1 - 0.6 * shape.upright
    side_in = np.array([0.028, 0.012, 0.0, 0.008, 0.026, 0.058]) * width
    front_in = np.array([0.035, 0.004, 0.0, 0.022 * steep, 0.045 * steep, 0.085 * steep + 0.01]) * width
    rear_in = np.array([0.04, 0.006, 0.0, 0.016, 0.03, 0.055]) * width
    inset[:] = side_in[:, None]
    inset[:, :front] = front_in[:, None]
    inset[:, -rear:] = rear_in[:, None]
    inset[:, front] = 0.5 * (side_in + front_in)
    inset[:, -rear - 1] = 0.5 * (side_in + rear_in)
    tangent = np.gradient(plan, axis=0)
    tangent[0], tangent[-1] = [0, 1], [0, -1]
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    flat = plan[None] - inset[:, :, None] * normal[None]
    return np.concatenate([flat, z[:, :, None]], axis=2)


def _add_shell(builder: MeshBuilder, shell: Shell, shape: CarShape, paint: Material, rng: np.random.Generator) -> None:
    """Add the lower body with lamps, grille and bumpers as differently coloured cells."""
    columns = shell.points.shape[1] - 1
    half = columns // 2
    index = builder.index
    cells = np.full((5, half), index(paint))
    front, rear = shell.front, half - shell.rear + 1
    trim = index(looks.GREY_PLASTIC if rng.random() < 0.3 else looks.BLACK_TRIM)
    cells[0, : front - 1] = index(looks.BLACK_TRIM)
    cells[0, rear - 1 :] = trim
    if shape.clad:
        cells[0] = trim
    elif rng.random() < 0.5:
        cells[0, front + 5 : rear - 6] = trim
    grille = index(looks.BLACK_TRIM)
    wide = rng.random() < 0.5
    cells[2 if shape.upright or wide else 3, :1] = grille
    cells[3, :1] = grille
    if shape.upright > 0.5:
        cells[3, 1:2] = grille
    if rng.random() < 0.35:
        cells[1, :1] = grille
    head = index(looks.HEAD_LAMP_ON if rng.random() < 0.35 else looks.HEAD_LAMP)
    cells[3, 2:front] = head
    if rng.random() < 0.3:
        cells[3, 1:2] = head
    lamp = index(looks.TAIL_LAMP_ON if rng.random() < 0.25 else looks.TAIL_LAMP)
    if shape.lamps == 'tall':
        cells[2:4, rear : rear + 1] = lamp
        cells[3, rear - 1] = lamp
    else:
        cells[3, rear - 1 : rear + 2] = lamp
    group = np.zeros((5, half), dtype=np.int64)
    group[4] = 1
    group[0] = 2
    both = np.concatenate([cells, cells[:, ::-1]], axis=1)
    builder.grid(shell.points, both, group=np.concatenate([group, group[:, ::-1]], axis=1))


def _add_decks(
    builder: MeshBuilder, shell: Shell, shape: CarShape, size: tuple[float, float, float], paint: Material
) -> None:
    """Close the lower body from above: bonnet, and boot or bed."""
    length, _, height = size
    rim = shell.points[5]
    columns = rim.shape[0] - 1
    front, side = shell.front, shell.side
    cowl_x = length * (0.5 - shape.pillars[0].base) - 0.03 * length
    last = front + int(np.argmax(rim[front : front + side, 0] < cowl_x))
    share = np.array([1, 0.72, 0.40, 0, -0.40, -0.72, -1.0])
    # The front edge is that of the shell, so that no gap opens there.
    lip = np.stack([rim[3], rim[2], rim[1], rim[0], rim[-2], rim[-3], rim[-4]])
    rows = [lip]
    for column in range(front, last + 1):
        left, right = rim[column], rim[columns - column]
        row = (left + right) / 2 + share[:, None] * (left - right) / 2
        rise = min(1.0, (column - front + 1) / 3)
        row[:, 2] += 0.022 * height * rise * (1 - share**4)
        rows.append(row)
    builder.grid(np.stack(rows)[:, ::-1], paint)
    if shape.bed:
        _add_bed(builder, shell, size, paint, length * (0.5 - shape.pillars[-1].base))
        return
    base_x = length * (0.5 - shape.pillars[-1].base) + 0.05 * length
    # The last column of the side that is ahead of the foot of the rear window.
    first = front + int(np.sum(rim[front : front + side, 0] > base_x)) - 1
    rows = []
    for column in range(max(first, front), front + side):
        left, right = rim[column], rim[columns - column]
        row = (left + right) / 2 + share[:, None] * (left - right) / 2
        row[:, 2] += 0.012 * height * (1 - share**2)
        rows.append(row)
    end = front + side
    rows.append(
        np.stack([rim[end], rim[end + 1], rim[end + 2], rim[end + 3], *(rim[columns - end - i] for i in (2, 1, 0))])
    )
    builder.grid(np.stack(rows)[:, ::-1], paint)


def _add_bed(
    builder: MeshBuilder, shell: Shell, size: tuple[float, float, float], paint: Material, front_x: float
) -> None:
    """Add the open bed of a pickup: a rim, walls and a floor."""
    rim = shell.points[5]
    last, middle = shell.front + shell.side - 1, len(rim) // 2
    rail = rim[shell.front : last + 1][::-1]
    x = np.array([front_x + 0.02 * size[0], rim[last, 0]])
    y, z = (np.interp(x, rail[:, 0], rail[:, axis]) for axis in (1, 2))
    left = np.stack([x, y, z], axis=1)
    top = np.concatenate([left, left[::-1] * [1, -1, 1], left[:1]])
    edge = top - [[0, 0.06, 0], [-0.02, 0.06, 0], [-0.02, -0.06, 0], [0, -0.06, 0], [0, 0.06, 0]]
    foot = edge * [1, 1, 0] + [0, 0, z.min() - 0.14 * size[2]]
    builder.grid(np.stack([top, edge]), looks.BLACK_TRIM, smooth=False)
    builder.grid(np.stack([edge, foot]), looks.shaded(paint, 0.5), smooth=False)
    builder.polygon(foot[:-1], looks.BLACK_TRIM)
    builder.polygon(np.concatenate([rim[last : middle + 1], rim[middle + 1 : 2 * middle - last + 1]]), paint)


def _add_underbody(builder: MeshBuilder, shell: Shell, size: tuple[float, float, float]) -> None:
    """Add what is seen below the sills, a dark block for rays that pass there, and liners in the wheel arches."""
    length, width, height = size
    builder.box((0, 0, 0.008 * height), (0.79 * length, 0.66 * width, 0.45 * height), looks.UNDERBODY)
    arch = len(_ARCH)
    edge = shell.left[0]
    for start in (1, edge.shape[0] - 1 - arch):
        rim = edge[start : start + arch]
        inner = rim * [1, 0, 1] + [0, 0.3 * width, 0]
        builder.grid(np.stack([inner, rim]), looks.UNDERBODY)
        builder.grid((np.stack([inner, rim]) * [1, -1, 1])[:, ::-1], looks.UNDERBODY)
        builder.polygon(inner[::-1], looks.UNDERBODY)
        builder.polygon(inner * [1, -1, 1], looks.UNDERBODY)


def _add_seams(builder: MeshBuilder, shell: Shell, shape: CarShape, size: tuple[float, float, float]) -> None:
    """Add the gaps around the doors and the door handles."""
    length, _, height = size
    rows = shell.left[1:5]
    order = np.argsort(rows[0, :, 0])
    trim = [p for p in shape.pillars if p.panel == 'b'] or [shape.pillars[2]]
    front = max(shape.pillars[1].base - 0.02, shape.axles[0] + 0.11)
    for share in (front, trim[0].base + 0.01):
        x = length * (0.5 - share)
        pair = np.empty((4, 2, 3))
        for column, at in enumerate((x + 0.009, x - 0.009)):
            pair[:, column, 0] = at
            for axis in (1, 2):
                pair[:, column, axis] = [np.interp(at, row[order, 0], row[order, axis]) for row in rows]
        pair[:, :, 1] += 0.004
        builder.grid(pair, looks.BLACK_TRIM)
        builder.grid((pair * [1, -1, 1])[:, ::-1], looks.BLACK_TRIM)
        if share > front:
            y, z = float(pair[2, 0, 1]) + 0.006, float(pair[2, 0, 2]) + 0.015 * height
            handle = np.array([[0.2, y, z], [0.04, y, z], [0.04, y - 0.005, z + 0.035], [0.2, y - 0.005, z + 0.035]])
            handle[:, 0] += x
            builder.polygon(handle, looks.BLACK_TRIM)
            builder.polygon((handle * [1, -1, 1])[::-1], looks.BLACK_TRIM)


def _add_line(builder: MeshBuilder, below: NDArray, above: NDArray, material: Material) -> None:
    """Add a strip between two (N, 3) lines on the shell, just outside of it, and its mirror image."""
    strip = np.stack([below, above]) * [1.003, 1.004, 1]
    builder.grid(strip, material)
    builder.grid((strip * [1, -1, 1])[:, ::-1], material)


def _add_lines(builder: MeshBuilder, shell: Shell, rng: np.random.Generator) -> None:
    """Add the gaps above the rear bumper and before the bonnet, and perhaps mouldings on the doors."""
    front, rear = shell.front, shell.front + shell.side
    middle = shell.points.shape[1] // 2
    rows = shell.points[:, rear : middle + 1]
    _add_line(builder, 0.08 * rows[1] + 0.92 * rows[2], 0.95 * rows[2] + 0.05 * rows[3], looks.BLACK_TRIM)
    rows = shell.points[:, :front]
    _add_line(builder, 0.4 * rows[4] + 0.6 * rows[5], 0.2 * rows[4] + 0.8 * rows[5], looks.BLACK_TRIM)
    if rng.random() < 0.3:
        rows = shell.points[:, front + len(_ARCH) : rear - len(_ARCH)]
        _add_line(builder, 0.5 * rows[1] + 0.5 * rows[2], 0.25 * rows[1] + 0.75 * rows[2], looks.BLACK_TRIM)


def _add_badges(builder: MeshBuilder, shell: Shell, shape: CarShape, size: tuple[float, float, float]) -> None:
    """Add the maker's badges and the brake lamp behind the rear window."""
    length, _, height = size
    middle = shell.points.shape[1] // 2
    for out, column, row in ((1, 0, 3.55), (-1, middle, 3.8)):
        low, share = int(row), row % 1
        x, _, z = (1 - share) * shell.points[low, column] + share * shell.points[low + 1, column]
        half = out * 0.05
        x = x + out * 0.012
        builder.polygon(
            [[x, -half, z - 0.04], [x, half, z - 0.04], [x, half, z + 0.04], [x, -half, z + 0.04]], looks.CHROME
        )
    x, z = length * (0.5 - shape.pillars[-1].top) - 0.075, 0.925 * height
    builder.box((x, 0, z), (0.03, 0.28, 0.022), looks.TAIL_LAMP)


def _add_wheels(
    builder: MeshBuilder, shape: CarShape, size: tuple[float, float, float], rng: np.random.Generator
) -> None:
    length, width, height = size
    radius = shape.wheel * height
    spokes = int(rng.choice([0, 5, 5, 6, 7]))
    rim = (looks.RIM, looks.HUB_CAP, looks.DARK_METAL)[int(rng.choice(3, p=[0.45, 0.4, 0.15]))]
    for axle in shape.axles:
        for side in (-1, 1):
            center = (length * (0.5 - axle), side * (width / 2 - 0.02 * width), radius)
            add_wheel(builder, center, radius, 0.13 * width, rim=rim, spokes=spokes)


def _add_plates(
    builder: MeshBuilder, shell: Shell, shape: CarShape, size: tuple[float, float, float], rng: np.random.Generator
) -> None:
    """Add the number plates, on the bumpers or, behind, between the lamps."""
    material, height = looks.plate(rng), size[2]
    rear = (0.27 if rng.random() < 0.5 else shape.tail - 0.17) * height
    middle = shell.points.shape[1] // 2
    for out, column, low in ((1, 0, 0.245 * height), (-1, middle, rear)):
        profile = shell.points[:, column]
        behind = np.interp(np.linspace(low, low + 0.11, 5), profile[:, 2], profile[:, 0] * out).max()
        x, half = out * (behind + 0.008), out * 0.26
        builder.polygon([[x, -half, low], [x, half, low], [x, half, low + 0.11], [x, -half, low + 0.11]], material)


def _add_mirrors(
    builder: MeshBuilder, shape: CarShape, size: tuple[float, float, float], paint: Material, rng: np.random.Generator
) -> None:
    """Add the outside mirrors; they stay within the width of the body, as annotated boxes have it."""
    length, width, height = size
    x = length * (0.5 - shape.pillars[1].base - 0.015)
    cap = paint if rng.random() < 0.6 else looks.BLACK_TRIM
    foot = (shape.cowl + 0.02) * height
    for side in (-1, 1):
        builder.box((x, side * 0.435 * width, foot), (0.1, 0.11 * width, 0.085 * height), cap, taper=(0.7, 0.9))

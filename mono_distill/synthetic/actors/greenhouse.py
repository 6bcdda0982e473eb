"""The part of a car above the belt line: windscreens, side windows, pillars and roof."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.actors.car_shapes import CarShape
from mono_distill.synthetic.materials import Material

# Columns of the screens, shares of the half width; the outermost cells are the pillars.
_ACROSS = np.array([-1.0, -0.9, -0.36, 0.36, 0.9, 1.0])


def add_greenhouse(
    builder: MeshBuilder,
    shape: CarShape,
    size: tuple[float, float, float],
    rim: NDArray,
    paint: Material,
    rng: np.random.Generator,
) -> None:
    """Add the greenhouse.

    Args:
        builder: Body to add to.
        shape: Proportions of the car.
        size: Length, width and height, metres.
        rim: (S, 3) upper edge of the lower body's left side from front to rear, metres.
        paint: Paint of the body.
        rng: Draws details.
    """
    length, width, height = size
    base_x = length * (0.5 - np.array([p.base for p in shape.pillars]))
    top_x = length * (0.5 - np.array([p.top for p in shape.pillars]))
    order = np.argsort(rim[:, 0])
    base_y = np.interp(base_x, rim[order, 0], rim[order, 1]) - 0.006 * width
    base_z = np.interp(base_x, rim[order, 0], rim[order, 2]) - 0.018 * height
    along = np.linspace(-1, 1, len(top_x))
    top_y = shape.roof * width / 2 * (1 - 0.05 * along**2)
    base_y = base_y * (1 - 0.035 * np.abs(np.linspace(-1, 1, len(base_x))) ** 3)
    edge_z = height * (0.955 - 0.012 * along**2) - 0.01 * height * np.maximum(along, 0)
    base = np.stack([base_x, base_y, base_z], axis=1)
    top = np.stack([top_x, top_y, edge_z], axis=1)
    rows = np.stack([base + (top - base) * share for share in (0.0, 0.07, 0.86, 1.0)])
    # The glass bulges a little between belt and roof.
    rows[1:3, :, 1] += np.array([[0.004], [0.012]]) * width
    panels = {'g': builder.index(looks.GLASS), 'p': builder.index(paint), 'b': builder.index(looks.BLACK_TRIM)}
    cells = np.full((3, len(base_x) - 1), panels['p'])
    cells[1] = [panels[p.panel] for p in shape.pillars[:-1]]
    if rng.random() < 0.5:
        # A black seal along the foot of the windows.
        cells[0, 1:-1] = panels['b']
    builder.grid(rows, cells)
    builder.grid((rows * [1, -1, 1])[:, ::-1], cells[:, ::-1])
    _add_roof(builder, top, height, paint)
    # The foot of the windscreen bulges forward: it must follow the bonnet down.
    slope = (shape.cowl - shape.lip) * height / (shape.pillars[0].base * length)
    for end, glass, drop in ((0, True, slope), (-1, not shape.bed or rng.random() < 0.9, 0.0)):
        _add_screen(builder, rows[:, end], paint, height=height, glass=glass, drop=drop)


def _bow(out: float) -> NDArray[np.float64]:
    """How far the screens bulge along the length, per column."""
    return out * (1 - _ACROSS**2)


def _add_roof(builder: MeshBuilder, edge: NDArray, height: float, paint: Material) -> None:
    """Add the roof between the upper edges of the sides; its highest point is at ``height``."""
    share = _ACROSS
    count = len(edge)
    crown = np.interp(np.arange(count), [0, 0.35 * count, 0.6 * count, count - 1], [0.55, 1.0, 1.0, 0.5])
    points = np.empty((count, len(share), 3))
    points[:, :, 0] = edge[:, 0, None]
    points[0, :, 0] += 0.07 * (1 - share**2)
    points[-1, :, 0] -= 0.05 * (1 - share**2)
    points[:, :, 1] = edge[:, 1, None] * share
    rise = (height - edge[:, 2]) * crown
    points[:, :, 2] = edge[:, 2, None] + rise[:, None] * (1 - share**2) ** 0.7
    # Seen from above with the nose up, y grows to the left: rows go up from the rear.
    builder.grid(points[::-1, ::-1], paint)


def _add_screen(
    builder: MeshBuilder, side: NDArray, paint: Material, *, height: float, glass: bool, drop: float
) -> None:
    """Add the windscreen, or the rear window if it looks back, between the ends ``side`` (4, 3) of the left side."""
    out = 1.0 if side[0, 0] > side[-1, 0] else -1.0
    bow = np.array([0.16, 0.15, 0.09, 0.07 if out > 0 else 0.05])
    if out < 0:
        bow[:3] = 0.05
    points = np.empty((4, len(_ACROSS), 3))
    points[:, :, 0] = side[:, 0, None] + bow[:, None] * _bow(out)
    points[:, :, 1] = side[:, 1, None] * _ACROSS * out
    points[:, :, 2] = side[:, 2, None]
    points[0, :, 2] -= drop * bow[0] * (1 - _ACROSS**2)
    crown = 0.55 if out > 0 else 0.5
    points[3, :, 2] += (height - side[3, 2]) * crown * (1 - _ACROSS**2) ** 0.7
    points[2, :, 2] += (height - side[3, 2]) * crown * 0.8 * (1 - _ACROSS**2) ** 0.7
    cells = np.full((3, len(_ACROSS) - 1), builder.index(paint))
    if glass:
        cells[1:, 1:-1] = builder.index(looks.GLASS)
        cells[0] = builder.index(looks.BLACK_TRIM if out > 0 else paint)
        cells[2] = builder.index(paint)
        cells[2, 1:-1] = builder.index(looks.GLASS if out > 0 else paint)
    builder.grid(points, cells)

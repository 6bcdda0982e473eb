"""Proportions of cars; everything along the length is a share of it, from 0 at the nose to 1 at the tail."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Pillar:
    """An edge between two panels of the side of the greenhouse.

    Attributes:
        base: Where it meets the belt line, share of the length.
        top: Where it meets the roof, share of the length.
        panel: What follows behind it: ``g`` glass, ``p`` paint, ``b`` black trim.
    """

    base: float
    top: float
    panel: str


@dataclass(frozen=True)
class CarShape:
    """Shape of a car body; heights are shares of the height, lengths shares of the length.

    Attributes:
        pillars: Edges of the panels of the greenhouse from the windscreen backwards; the last ends it.
        axles: Positions of the front and the rear axle.
        lip: Height of the front edge of the bonnet.
        cowl: Height of the belt line at the windscreen.
        tail: Height of the belt line at the tail.
        wheel: Radius of the tyres.
        roof: Half width of the roof, share of half the width.
        nose: How much the front is rounded in plan.
        clad: Whether sills and arches are of black plastic.
        bed: Whether there is an open bed behind the cab.
        upright: How steep the front is, 0 to 1.
        lamps: Rear lamps: ``band`` low and wide, ``tall`` beside the rear window's foot.
    """

    pillars: tuple[Pillar, ...]
    axles: tuple[float, float]
    lip: float
    cowl: float
    tail: float
    wheel: float
    roof: float = 0.74
    nose: float = 1.0
    clad: bool = False
    bed: bool = False
    upright: float = 0.0
    lamps: str = 'band'


def _pillars(*rows: tuple[float, float, str]) -> tuple[Pillar, ...]:
    return tuple(Pillar(*row) for row in rows)


SHAPES: dict[str, CarShape] = {
    'hatchback': CarShape(
        _pillars((0.235, 0.43, 'p'), (0.275, 0.455, 'g'), (0.565, 0.585, 'b'), (0.59, 0.61, 'g'), (0.82, 0.775, 'p'),
                 (0.965, 0.885, 'p')),
        axles=(0.195, 0.845), lip=0.50, cowl=0.605, tail=0.645, wheel=0.205, lamps='tall',
    ),
    'sedan': CarShape(
        _pillars((0.26, 0.425, 'p'), (0.295, 0.445, 'g'), (0.53, 0.545, 'b'), (0.55, 0.565, 'g'), (0.775, 0.70, 'p'),
                 (0.86, 0.745, 'p')),
        axles=(0.19, 0.80), lip=0.49, cowl=0.61, tail=0.665, wheel=0.213,
    ),
    'estate': CarShape(
        _pillars((0.25, 0.405, 'p'), (0.285, 0.425, 'g'), (0.515, 0.53, 'b'), (0.535, 0.55, 'g'), (0.735, 0.725, 'b'),
                 (0.755, 0.745, 'g'), (0.93, 0.875, 'p'), (0.975, 0.925, 'p')),
        axles=(0.19, 0.79), lip=0.49, cowl=0.61, tail=0.63, wheel=0.21, lamps='tall',
    ),
    'suv': CarShape(
        _pillars((0.245, 0.40, 'p'), (0.28, 0.42, 'g'), (0.535, 0.55, 'b'), (0.555, 0.57, 'g'), (0.765, 0.745, 'p'),
                 (0.80, 0.78, 'g'), (0.90, 0.85, 'p'), (0.97, 0.91, 'p')),
        axles=(0.195, 0.815), lip=0.53, cowl=0.615, tail=0.645, wheel=0.212, roof=0.77, clad=True, upright=0.6,
        lamps='tall',
    ),
    'coupe': CarShape(
        _pillars((0.30, 0.465, 'p'), (0.335, 0.485, 'g'), (0.625, 0.61, 'p'), (0.645, 0.63, 'g'), (0.77, 0.675, 'p'),
                 (0.90, 0.715, 'p')),
        axles=(0.20, 0.80), lip=0.49, cowl=0.64, tail=0.69, wheel=0.235, roof=0.70, nose=1.25,
    ),
    'pickup': CarShape(
        _pillars((0.24, 0.34, 'p'), (0.265, 0.355, 'g'), (0.425, 0.435, 'b'), (0.445, 0.455, 'g'), (0.575, 0.56, 'p'),
                 (0.61, 0.59, 'p')),
        axles=(0.18, 0.78), lip=0.54, cowl=0.615, tail=0.60, wheel=0.21, roof=0.78, clad=True, bed=True, upright=0.8,
        lamps='tall',
    ),
    'van': CarShape(
        _pillars((0.15, 0.285, 'p'), (0.175, 0.30, 'g'), (0.355, 0.365, 'p'), (0.40, 0.405, 'p'), (0.62, 0.62, 'p'),
                 (0.65, 0.65, 'p'), (0.95, 0.94, 'p'), (0.985, 0.97, 'p')),
        axles=(0.175, 0.79), lip=0.415, cowl=0.515, tail=0.515, wheel=0.152, roof=0.84, upright=0.5, lamps='tall',
    ),
}  # fmt: skip


def draw_shape(kind: str, rng: np.random.Generator) -> CarShape:
    """Return the shape of a kind of car, its proportions varied a little."""
    shape = SHAPES[kind]
    lean, belt, lip, wheel, roof, nose = rng.uniform(-1, 1, 6)
    front, rear = 0.014 * lean, 0.008 * roof
    pillars = shape.pillars
    last = len(pillars) - 1
    moved = [
        replace(p, base=p.base + front * (1 - i / last), top=p.top + (front * 0.6 + rear) * (1 - i / last))
        for i, p in enumerate(pillars)
    ]
    if kind == 'van' and rng.random() < 0.5:
        # A minibus has windows where a delivery van has sheet metal.
        panels = 'pgpgpgpp'
        moved = [replace(p, panel=panels[i]) for i, p in enumerate(moved)]
    return replace(
        shape,
        pillars=tuple(moved),
        lip=shape.lip + 0.012 * lip,
        cowl=shape.cowl + 0.010 * belt,
        tail=shape.tail + 0.012 * belt,
        wheel=shape.wheel * (1 + 0.03 * wheel),
        nose=shape.nose * (1 + 0.25 * nose),
        lamps=shape.lamps if rng.random() < 0.75 else ('band' if shape.lamps == 'tall' else 'tall'),
    )

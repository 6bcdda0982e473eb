"""Who is on the road: annotated objects with their places and motion, none overlapping another at any time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.actors.catalog import Body, build_body, build_kind
from mono_distill.synthetic.road import Road
from mono_distill.synthetic.scene import Actor, Track

# Free space between two bodies, metres along and across the road.
CLEARANCE = (0.6, 0.12)
# The car with the sensors, metres: length, width, and how far its rear axle is from its middle.
EGO_SIZE = (4.8, 1.9)
EGO_AXLE = 1.4


@dataclass(frozen=True)
class TrafficStyle:
    """What is on the road.

    Attributes:
        difficulty: 0 to 1: denser traffic, more variation of sizes and headings.
        duration: Seconds for which nothing may overlap.
        every_category: Whether all categories must be present along the whole way.
    """

    difficulty: float
    duration: float
    every_category: bool


@dataclass(frozen=True)
class _Wish:
    """Something that may be placed if there is room."""

    category: str
    kind: str | None
    track: Track


def draw_traffic(
    road: Road, ego: Track, s_range: tuple[float, float], style: TrafficStyle, rng: np.random.Generator
) -> tuple[Actor, ...]:
    """Place objects on lanes, at the kerb, on pavements and verges.

    Vehicles of a lane share its speed. A wish that would come too close to an earlier one at any time of the scene,
    or to the car with the sensors, is dropped.

    Args:
        road: The road.
        ego: Motion of the car with the sensors.
        s_range: First and last distance along the road, metres.
        style: How much of what.
        rng: Source of all draws.
    """
    spread = 0.6 + 0.8 * style.difficulty
    occupied = [_extent(ego, EGO_SIZE, shift=EGO_AXLE)]
    actors: list[Actor] = []
    for wish in _wishes(road, ego, s_range, style, rng):
        if wish.kind is None:
            body: Body = build_body(wish.category, rng, spread=spread)
        else:
            body = build_kind(wish.category, wish.kind, rng, spread=spread)
        extent = _extent(wish.track, body.size[:2])
        if not any(_collide(extent, other, style.duration) for other in occupied):
            occupied.append(extent)
            name = f'{wish.category}#{len(actors):03d}'
            actors.append(Actor(name, wish.category, body.kind, body.size, body.mesh, wish.track))
    return tuple(actors)


def _extent(track: Track, size: tuple[float, float], shift: float = 0.0) -> NDArray[np.float64]:
    """Return middle along and across the road, half extents, and speed: (5,)."""
    cos, sin = abs(np.cos(track.heading)), abs(np.sin(track.heading))
    along, across = (size[0] * cos + size[1] * sin) / 2, (size[0] * sin + size[1] * cos) / 2
    middle = track.s + shift * np.cos(track.heading)
    return np.array([middle, track.offset, along, across, track.speed])


def taken_ground(actors: Sequence[Actor], duration: float) -> NDArray[np.float64]:
    """Return where actors stand or pass within a scene.

    Args:
        actors: The actors.
        duration: Seconds that the scene lasts.

    Returns:
        (K, 5) first and last distance along the road, lowest and highest offset, height, metres.
    """
    rows = []
    for actor in actors:
        middle, offset, along, across, speed = _extent(actor.track, actor.size[:2])
        ends = (middle, middle + speed * duration)
        rows.append((min(ends) - along, max(ends) + along, offset - across, offset + across, actor.size[2]))
    return np.array(rows).reshape(-1, 5)


def _collide(first: NDArray, second: NDArray, duration: float) -> bool:
    """Return whether two moving rectangles come too close from a second before the scene to a second after it."""
    if abs(first[1] - second[1]) > first[3] + second[3] + CLEARANCE[1]:
        return False
    gap = second[0] - first[0]
    relative = second[4] - first[4]
    ends = (gap - relative * 1.0, gap + relative * (duration + 1.0))
    reach = first[2] + second[2] + CLEARANCE[0]
    return min(ends) < reach and max(ends) > -reach


def _wishes(
    road: Road, ego: Track, s_range: tuple[float, float], style: TrafficStyle, rng: np.random.Generator
) -> Iterator[_Wish]:
    """Yield wishes, the rare ones first so that they find room."""
    density = rng.uniform(0.45, 1.2) * (0.6 + 0.8 * style.difficulty)
    if style.every_category:
        yield from _rare(road, ego, s_range, rng)
    yield from _lanes(road, ego, s_range, style, density, rng)
    yield from _parked(road, s_range, style, density, rng)
    yield from _people(road, s_range, style, density, rng)


def _lanes(
    road: Road,
    ego: Track,
    s_range: tuple[float, float],
    style: TrafficStyle,
    density: float,
    rng: np.random.Generator,
) -> Iterator[_Wish]:
    """Yield moving vehicles, and cyclists at the edges of the lanes."""
    travel = abs(ego.speed) * style.duration
    for direction, count in ((1, road.lanes[0]), (-1, road.lanes[1])):
        for lane in range(count):
            offset = -direction * (lane + 0.5) * road.lane_width
            same = direction > 0 and abs(offset - ego.offset) < 0.5 * road.lane_width
            speed = ego.speed if same else direction * rng.uniform(0.55, 1.35) * max(abs(ego.speed), 4.0)
            # What drives past must come from far enough to be met.
            reach = abs(speed - ego.speed) * style.duration
            first, last = s_range[0] - 20, s_range[1] - (travel if same else 0) + reach
            s = first + rng.uniform(0, 30)
            while s < last:
                yield _Wish(_vehicle(rng), None, Track(s, offset + rng.normal(0, 0.12), speed, _facing(direction, rng)))
                s += 7.5 + rng.exponential(22 / density)
        if count:
            edge = -direction * (count * road.lane_width + 0.15)
            speed = direction * rng.uniform(3.5, 6.5)
            for s in rng.uniform(s_range[0], s_range[1], rng.poisson(3 * density)):
                category = 'vehicle.bicycle' if rng.random() < 0.8 else 'vehicle.motorcycle'
                yield _Wish(category, 'rider', Track(s, edge, speed, _facing(direction, rng)))


def _vehicle(rng: np.random.Generator) -> str:
    draw = rng.random()
    return 'vehicle.car' if draw < 0.9 else 'vehicle.truck' if draw < 0.96 else 'vehicle.bus.rigid'


def _facing(direction: int, rng: np.random.Generator) -> float:
    return float((0.0 if direction > 0 else np.pi) + rng.normal(0, 0.015))


def _parked(
    road: Road, s_range: tuple[float, float], style: TrafficStyle, density: float, rng: np.random.Generator
) -> Iterator[_Wish]:
    """Yield vehicles at the kerb, in rows on the verge, and in driveways at any angle."""
    for side, lanes in ((-1, road.lanes[0]), (1, road.lanes[1])):
        if rng.random() < 0.7:
            s = s_range[0] + rng.uniform(0, 20)
            while s < s_range[1]:
                offset = side * (lanes * road.lane_width + 1.45) + rng.normal(0, 0.06)
                heading = (np.pi if side > 0 else 0.0) + rng.normal(0, 0.03) + (np.pi if rng.random() < 0.1 else 0.0)
                yield _Wish('vehicle.car', None, Track(s, offset, 0.0, heading))
                s += rng.uniform(5.6, 7.5) + rng.exponential(8 / density)
        edge = road.half_widths[0 if side < 0 else 1]
        if rng.random() < 0.3 + 0.3 * style.difficulty:
            start, turn = rng.uniform(*s_range), side * np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0, 0.25)
            for s in np.arange(start, min(start + 45, s_range[1]), 2.9):
                if rng.random() < 0.75:
                    heading = turn + rng.normal(0, 0.04)
                    yield _Wish('vehicle.car', None, Track(s, side * (edge + 7.2), 0.0, heading))
        for s in rng.uniform(s_range[0], s_range[1], rng.poisson(2.5 * density * (0.5 + style.difficulty))):
            offset = side * (edge + rng.uniform(5.5, 9.0))
            yield _Wish('vehicle.car', None, Track(s, offset, 0.0, float(rng.uniform(-np.pi, np.pi))))


def _people(
    road: Road, s_range: tuple[float, float], style: TrafficStyle, density: float, rng: np.random.Generator
) -> Iterator[_Wish]:
    """Yield pedestrians on the pavements (a lane for each direction), and parked cycles."""
    for side in (-1, 1):
        edge = road.half_widths[0 if side < 0 else 1]
        for direction, away in ((1, 1.2), (-1, 2.2)):
            speed = direction * rng.uniform(0.9, 1.6)
            for s in rng.uniform(s_range[0], s_range[1], rng.poisson(5 * density)):
                standing = rng.random() < 0.25
                heading = rng.uniform(-np.pi, np.pi) if standing else (0.0 if direction > 0 else np.pi)
                offset = side * (edge + away + rng.normal(0, 0.06) + (1.0 if standing else 0.0))
                kind = 'standing' if standing else 'walking'
                yield _Wish(
                    'human.pedestrian.adult', kind, Track(s, offset, 0.0 if standing else speed, float(heading))
                )
        for s in rng.uniform(s_range[0], s_range[1], rng.poisson(1.5 * density)):
            category = 'vehicle.bicycle' if rng.random() < 0.7 else 'vehicle.motorcycle'
            yield _Wish(category, 'parked', Track(s, side * (edge + 3.6), 0.0, float(rng.uniform(-np.pi, np.pi))))


def _rare(road: Road, ego: Track, s_range: tuple[float, float], rng: np.random.Generator) -> Iterator[_Wish]:
    """Yield what real streets rarely show, every forty metres, and some that keep the ego car company."""
    for s in np.arange(s_range[0] + 15, s_range[1], 40.0):
        side = int(rng.choice([-1, 1]))
        edge = road.half_widths[0 if side < 0 else 1]
        lanes = road.lanes[0 if side < 0 else 1]
        strip = side * (lanes * road.lane_width + 1.3)
        for k in range(rng.integers(2, 5)):
            yield _Wish('movable_object.trafficcone', None, Track(s + 2.2 * k, strip + rng.normal(0, 0.2), 0.0, 0.0))
        heading = float(rng.normal(0, 0.1))
        for k in range(rng.integers(1, 4)):
            yield _Wish('movable_object.barrier', None, Track(s + 12 + 3 * k, strip, 0.0, np.pi / 2 + heading))
        far = -side * (road.half_widths[0 if side > 0 else 1] + 7.5)
        yield _Wish('vehicle.construction', None, Track(s + 20, side * (edge + 9), 0.0, float(rng.uniform(-3, 3))))
        yield _Wish('vehicle.trailer', None, Track(s + 5, far, 0.0, float(rng.normal(0, 0.1))))
        yield _Wish('vehicle.truck', None, Track(s + 28, far, 0.0, float(rng.normal(0, 0.1))))
        yield _Wish('vehicle.motorcycle', None, Track(s + 7, side * (edge + 3.4), 0.0, float(rng.uniform(-3, 3))))
        yield _Wish('vehicle.bicycle', None, Track(s + 10.5, side * (edge + 3.6), 0.0, float(rng.uniform(-3, 3))))
        yield _Wish('human.pedestrian.adult', None, Track(s + 14, side * (edge + 4.2), 0.0, float(rng.uniform(-3, 3))))
    # A bus ahead in the ego lane stays within sight.
    yield _Wish('vehicle.bus.rigid', None, Track(ego.s + rng.uniform(18, 32), ego.offset, ego.speed, 0.0))

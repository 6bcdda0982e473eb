"""The ground of a scene: road with lane marks, kerbs, pavements, verges, crossings."""

from __future__ import annotations

import numpy as np

from mono_distill.synthetic.materials import Material, Pattern
from mono_distill.synthetic.mesh import Mesh, merge
from mono_distill.synthetic.road import Road
from mono_distill.synthetic.shapes import patch

# The verge is flat this far beyond the pavement, so that bodies can stand on it, metres.
FLAT_VERGE = 14.0
# The ground ends here, metres from the centre line.
REACH = 240.0


def draw_road(rng: np.random.Generator, difficulty: float) -> Road:
    """Draw the course of a road: bends of some degrees, slopes of a few degrees that change over long distances.

    Args:
        rng: Source of the draws.
        difficulty: 0 to 1; hills grow with it.
    """
    bends = tuple(
        (rng.normal(0, 0.07 * scale), rng.uniform(120, 260) * scale, rng.uniform(0, 2 * np.pi)) for scale in (1.0, 1.8)
    )
    hills = tuple(
        (rng.normal(0, 0.018 * (0.4 + 1.2 * difficulty)), rng.uniform(150, 330), rng.uniform(0, 2 * np.pi))
        for _ in range(2)
    )
    lanes = [(1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (2, 0)][rng.integers(0, 6)]
    return Road(
        bend=tuple((float(a), float(w), float(p)) for a, w, p in bends),
        hill=tuple((float(a), float(w), float(p)) for a, w, p in hills),
        lane_width=float(rng.uniform(3.1, 3.7)),
        lanes=lanes,
        kerb=float(rng.uniform(0.08, 0.15)),
    )


def build_ground(road: Road, s_range: tuple[float, float], rng: np.random.Generator) -> Mesh:
    """Build everything that lies flat.

    Args:
        road: The road.
        s_range: First and last distance along it, metres.
        rng: Draws colours and crossings.
    """
    s = np.arange(s_range[0], s_range[1] + 2.5, 2.5)
    right, left = road.half_widths
    tone = rng.uniform(0.10, 0.20)
    mark = rng.uniform(0.55, 0.85)
    asphalt = Material(
        (tone, tone, tone * rng.uniform(0.97, 1.08)),
        Pattern.ROAD,
        contrast=0.14,
        color2=(mark, mark, mark * 0.95),
        gloss=0.0,
        reflectance=0.16,
    )
    parts = [_strip(road, s, np.linspace(-right, left, 13), 0.0, asphalt)]
    pavement_width = rng.uniform(1.8, 3.5)
    stone = rng.uniform(0.24, 0.42)
    kerbstone = Material((stone * 1.1, stone * 1.1, stone * 1.05), Pattern.PAVING, scale=1.0, color2=(0.1, 0.1, 0.1))
    slabs = Material(
        (stone, stone * 0.98, stone * 0.94),
        Pattern.PAVING if rng.random() < 0.6 else Pattern.ASPHALT,
        scale=float(rng.uniform(0.3, 0.6)),
        contrast=0.12,
        color2=(stone * 0.6,) * 3,
        reflectance=0.25,
    )
    for side, half in ((-1, right), (1, left)):
        edge = half * side
        parts.append(_riser(road, s, edge, side, kerbstone))
        parts.append(_between(road, s, edge, edge + 0.18 * side, kerbstone))
        inner, outer = edge + 0.18 * side, edge + (0.18 + pavement_width) * side
        parts.append(_between(road, s, inner, outer, slabs))
        parts.append(_verge(road, s, outer, side, rng))
    parts += _crossings(road, s_range, rng)
    return merge(parts)


def _strip(road: Road, s: np.ndarray, offsets: np.ndarray, height: float | np.ndarray, material: Material) -> Mesh:
    """Return a band along the road; offsets must grow (from right to left)."""
    grid_s, grid_offset = np.meshgrid(s, offsets)
    points = road.points(grid_s, grid_offset, height)
    return patch(points, material, uv=np.stack([grid_s, grid_offset], axis=-1))


def _between(road: Road, s: np.ndarray, first: float, second: float, material: Material) -> Mesh:
    return _strip(road, s, np.linspace(min(first, second), max(first, second), 3), road.kerb, material)


def _riser(road: Road, s: np.ndarray, edge: float, side: int, material: Material) -> Mesh:
    """Return the face of a kerb, which looks towards the road."""
    # Seen from the road, s grows to the right at the left kerb and to the left at the right one.
    grid_s, grid_height = np.meshgrid(s if side > 0 else s[::-1], np.array([0.0, road.kerb]))
    points = road.points(grid_s, edge, grid_height)
    return patch(points, material, uv=np.stack([grid_s, grid_height], axis=-1))


def _verge(road: Road, s: np.ndarray, start: float, side: int, rng: np.random.Generator) -> Mesh:
    """Return the land beyond a pavement: flat at first, then gently rolling."""
    green = rng.uniform(0.7, 1.15)
    if rng.random() < 0.75:
        near = Material(
            (0.075 * green, 0.115 * green, 0.035 * green),
            Pattern.GRASS,
            contrast=0.3,
            color2=(0.16 * green, 0.15 * green, 0.06 * green),
            reflectance=0.45,
        )
    else:
        near = Material((0.2, 0.19, 0.18), Pattern.ASPHALT, contrast=0.16, reflectance=0.2)
    away = np.array([0.0, 4.0, FLAT_VERGE, 24.0, 45.0, 80.0, 130.0, REACH])
    roll = rng.normal(0, 0.03, 2)
    rise = np.maximum(away - FLAT_VERGE, 0)
    phase = rng.uniform(0, 2 * np.pi, 2)
    offsets = start + side * away
    swell = sum(r * np.sin(s / 70 * (k + 1) + phase[k]) for k, r in enumerate(roll))
    height = road.kerb + np.outer(rise, swell)
    order = np.argsort(offsets)
    return _strip(road, s, offsets[order], height[order], near)


def _crossings(road: Road, s_range: tuple[float, float], rng: np.random.Generator) -> list[Mesh]:
    """Return zebra crossings and the mouths of side roads."""
    right, left = road.half_widths
    parts = []
    paint = rng.uniform(0.5, 0.8)
    zebra = Material((0.15, 0.15, 0.15), Pattern.STRIPES, scale=1.0, color2=(paint,) * 3, reflectance=0.4)
    for at in rng.uniform(s_range[0] + 20, s_range[1] - 20, rng.integers(0, 3)):
        grid_s, grid_offset = np.meshgrid(np.linspace(at, at + 3.5, 5), np.linspace(-right + 0.2, left - 0.2, 9))
        points = road.points(grid_s, grid_offset, 0.012)
        parts.append(patch(points, zebra, uv=np.stack([grid_s, grid_offset], axis=-1)))
    tone = rng.uniform(0.12, 0.2)
    lane = Material((tone, tone, tone), Pattern.ASPHALT, contrast=0.14, reflectance=0.16)
    for at in rng.uniform(s_range[0], s_range[1], rng.integers(1, 5)):
        side, half_width = (1, rng.uniform(1.8, 3.4)) if rng.random() < 0.5 else (-1, rng.uniform(1.8, 3.4))
        inner = left if side > 0 else right
        offsets = np.sort(side * np.array([inner + 0.02, inner + 3, inner + FLAT_VERGE]))
        grid_s, grid_offset = np.meshgrid(np.linspace(at - half_width, at + half_width, 6), offsets)
        points = road.points(grid_s, grid_offset, road.kerb + 0.015)
        parts.append(patch(points, lane, uv=np.stack([grid_s, grid_offset], axis=-1)))
    return parts

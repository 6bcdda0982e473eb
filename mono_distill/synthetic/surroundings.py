"""What stands beside the road: buildings, trees, hedges, fences, lamp posts, signs, a skyline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mono_distill.synthetic.materials import Color, Material, Pattern
from mono_distill.synthetic.mesh import Mesh, merge
from mono_distill.synthetic.road import Road
from mono_distill.synthetic.shapes import box, cylinder, patch, polygon, tube

# Offsets from the kerb at which things stand, metres.
POST_OFFSET = 0.55
TREE_OFFSETS = (1.0, 6.0)
# What stands beside the road keeps this far away from annotated objects, metres.
CLEARANCE = 0.3


def build_surroundings(
    road: Road, s_range: tuple[float, float], rng: np.random.Generator, taken: NDArray | None = None
) -> Mesh:
    """Build both sides of the road.

    Args:
        road: The road.
        s_range: First and last distance along it, metres.
        rng: Source of all draws.
        taken: (K, 5) where annotated objects stand or pass: first and last distance along the road, lowest and highest
            offset, height, metres. Trees and fences are left out there, buildings stand behind.
    """
    rows = np.zeros((0, 5)) if taken is None else taken
    parts: list[Mesh] = [_skyline(road, s_range, rng)]
    for side in (-1, 1):
        parts += _posts(road, s_range, side, rng, rows)
        parts += _blocks(road, s_range, side, rng, rows)
    return merge(parts)


def _is_free(mesh: Mesh, s: float, offset: float, turn: float, taken: NDArray) -> bool:
    """Return whether a mesh, placed, stays clear of what is taken; only what is as low as that counts."""
    x, y, z = mesh.vertices.astype(np.float64).T
    along, across = s + np.cos(turn) * x - np.sin(turn) * y, offset + np.sin(turn) * x + np.cos(turn) * y
    near = (taken[:, 0] < along.max() + CLEARANCE) & (taken[:, 1] > along.min() - CLEARANCE)
    for first, last, low, high, height in taken[near]:
        below = z < height + CLEARANCE
        if (
            np.any(below)
            and along[below].min() - CLEARANCE < last
            and along[below].max() + CLEARANCE > first
            and across[below].min() - CLEARANCE < high
            and across[below].max() + CLEARANCE > low
        ):
            return False
    return True


def _place(mesh: Mesh, road: Road, s: float, offset: float, turn: float = 0.0) -> Mesh:
    """Put a mesh with its own x axis along the road at a distance and an offset."""
    x, y, z = road.points(s, offset, road.kerb)
    return mesh.moved(x, y, z, float(road.direction(s)) + turn)


def _posts(road: Road, s_range: tuple[float, float], side: int, rng: np.random.Generator, taken: NDArray) -> list[Mesh]:
    """Return lamp posts, trees or bollards in a row at even distances, and scattered signs."""
    edge = road.half_widths[0 if side < 0 else 1]
    parts = []
    steel = Material((0.25, 0.26, 0.27), gloss=0.05, reflectance=0.4)
    if rng.random() < 0.75:
        spacing, height = rng.uniform(22, 36), rng.uniform(6, 9)
        lamp = _lamp_post(height, -side, steel)
        places = np.arange(s_range[0] + rng.uniform(0, spacing), s_range[1], spacing)
        parts += [_place(lamp, road, s, side * (edge + POST_OFFSET)) for s in places]
    if rng.random() < 0.25:
        spacing = rng.uniform(2.0, 4.0)
        bollard = cylinder([0, 0, 0], 0.9, 0.07, Material((0.12, 0.12, 0.13), reflectance=0.3), sides=7)
        start = rng.uniform(*s_range)
        places = np.arange(start, min(start + 40, s_range[1]), spacing)
        parts += [_place(bollard, road, s, side * (edge + 0.4)) for s in places]
    if rng.random() < 0.55:
        spacing = rng.uniform(8, 16)
        offset = edge + rng.uniform(*TREE_OFFSETS)
        places = np.arange(s_range[0] + rng.uniform(0, spacing), s_range[1], spacing)
        for s in places:
            if rng.random() < 0.85:
                tree, turn = _tree(rng, rng.uniform(4.5, 8)), rng.uniform(0, 6)
                if _is_free(tree, s, side * offset, turn, taken):
                    parts.append(_place(tree, road, s, side * offset, turn))
    places = rng.uniform(s_range[0], s_range[1], rng.integers(3, 9))
    parts += [_place(_sign(rng, steel), road, s, side * (edge + POST_OFFSET + 0.1), rng.normal(0, 0.1)) for s in places]
    return parts


def _lamp_post(height: float, towards: int, steel: Material) -> Mesh:
    arm = 1.6
    pole = tube(np.array([[0, 0, 0], [0, 0, height]]), [0.09, 0.05], steel, sides=7)
    boom = tube(np.array([[0, 0, height - 0.05], [0, towards * arm, height + 0.25]]), 0.035, steel, sides=5)
    head = box([0, towards * (arm + 0.2), height + 0.2], [0.22, 0.55, 0.1], Material((0.5, 0.5, 0.5)))
    return merge([pole, boom, head])


def _sign(rng: np.random.Generator, steel: Material) -> Mesh:
    """Return a traffic sign that faces oncoming traffic."""
    height = rng.uniform(2.0, 2.6)
    colors: list[Color] = [(0.5, 0.03, 0.03), (0.03, 0.1, 0.45), (0.7, 0.7, 0.65), (0.55, 0.4, 0.03), (0.03, 0.25, 0.1)]
    face = Material(colors[rng.integers(len(colors))], reflectance=1.5)
    radius = rng.uniform(0.27, 0.4)
    corners = [3, 4, 10][rng.integers(3)]
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + (np.pi / 2 if corners == 3 else np.pi / 4)
    ring = np.stack([np.zeros(corners), radius * np.cos(angle), height + radius * np.sin(angle)], axis=1)
    front, back = ring - [0.06, 0, 0], ring - [0.05, 0, 0]
    plates = [polygon(front[::-1], face), polygon(back, Material((0.35, 0.35, 0.36)))]
    if corners != 4:
        inner = (ring - [0, 0, height]) * 0.72 + [-0.065, 0, height]
        plates.append(polygon(inner[::-1], Material((0.75, 0.75, 0.72), reflectance=1.2)))
    return merge([tube(np.array([[0, 0, 0], [0, 0, height + radius * 0.5]]), 0.035, steel, sides=6), *plates])


def _blob(center: np.ndarray, radii: np.ndarray, material: Material, rng: np.random.Generator) -> Mesh:
    """Return an irregular ball of leaves."""
    rows, sides = 5, 8
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)[:, None]
    longitude = np.linspace(0, 2 * np.pi, sides + 1)[None]
    unit = np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude) * np.ones_like(longitude),
        ],
        axis=-1,
    )
    bumps = sum(np.sin(unit @ rng.normal(0, 4.5, 3) + rng.uniform(0, 6)) for _ in range(5))
    points = center + unit * radii * (1 + 0.075 * bumps[..., None])
    uv = np.stack([longitude * np.ones_like(latitude), latitude * np.ones_like(longitude)], axis=-1) * float(radii[0])
    return patch(points, material, uv=uv)


def _tree(rng: np.random.Generator, height: float) -> Mesh:
    bark = Material((0.09, 0.07, 0.05), Pattern.BARK, contrast=0.4, reflectance=0.3)
    green = rng.uniform(0.7, 1.3)
    hue = rng.uniform(0.35, 0.75)
    leaves = Material((0.10 * hue * green, 0.115 * green, 0.03 * green), Pattern.FOLIAGE, contrast=0.5, reflectance=0.5)
    trunk_height = height * rng.uniform(0.3, 0.45)
    lean = rng.normal(0, 0.15, 2)
    trunk = tube(
        [[0, 0, -0.1], [lean[0] * 0.5, lean[1] * 0.5, trunk_height * 0.6], [lean[0], lean[1], trunk_height * 1.4]],
        [0.16, 0.12, 0.07],
        bark,
        sides=7,
        capped=False,
    )
    if rng.random() < 0.2:
        cone = [
            cylinder([0, 0, height * low], height * 0.42, height * radius, leaves, sides=9, top_radius=0.03)
            for low, radius in ((0.18, 0.22), (0.38, 0.17), (0.58, 0.11))
        ]
        return merge([trunk, *cone])
    crown = height - trunk_height
    balls = []
    for _ in range(rng.integers(4, 7)):
        center = np.array([*rng.normal(0, crown * 0.24, 2), trunk_height + crown * rng.uniform(0.15, 0.8)])
        radius = crown * rng.uniform(0.24, 0.38)
        balls.append(_blob(center, radius * np.array([1, 1, 0.85]), leaves, rng))
    return merge([trunk, *balls])


def _blocks(
    road: Road, s_range: tuple[float, float], side: int, rng: np.random.Generator, taken: NDArray
) -> list[Mesh]:
    """Fill one side with plots, each with a building or greenery, until the road ends."""
    edge = road.half_widths[0 if side < 0 else 1]
    town = rng.random()
    set_back = edge + rng.uniform(4.5, 7.5) + (0 if town > 0.55 else rng.uniform(2, 8))
    makers: list[tuple[float, Callable[[np.random.Generator], tuple[Mesh, float]]]]
    if town > 0.55:
        makers = [(0.8, _block_of_flats), (0.1, _house), (0.1, _grove)]
    elif town > 0.25:
        makers = [(0.6, _house), (0.25, _grove), (0.15, _hall)]
    else:
        makers = [(0.7, _grove), (0.15, _house), (0.15, _hall)]
    weights = np.cumsum([weight for weight, _ in makers])
    parts = []
    s = s_range[0]
    while s < s_range[1]:
        mesh, length = makers[int(np.searchsorted(weights, rng.random() * weights[-1]))][1](rng)
        turn = np.pi if side > 0 else 0.0
        middle, half = s + length / 2, float(np.abs(mesh.vertices[:, 0]).max()) + CLEARANCE
        front = max([set_back, *_outer_edges(taken, middle - half, middle + half, side)])
        # The side with the door looks along y, towards the road.
        offset = side * (front + float(mesh.bounds[1][1]) + rng.uniform(0, 1.5))
        parts.append(_place(mesh, road, middle, offset, turn + rng.normal(0, 0.02)))
        gap = rng.uniform(0, 3) if town > 0.55 else rng.uniform(2, 12)
        if gap > 4 and rng.random() < 0.6:
            fence, middle = _fence(rng, gap), s + length + gap / 2
            if _is_free(fence, middle, side * set_back, 0.0, taken):
                parts.append(_place(fence, road, middle, side * set_back))
        s += length + gap
    return parts


def _outer_edges(taken: NDArray, first: float, last: float, side: int) -> NDArray:
    """Return how far from the centre line of the road what is taken on one side reaches."""
    near = taken[(taken[:, 0] < last) & (taken[:, 1] > first)]
    # A body that is not quite parallel to the road needs more room than its front line.
    return (near[:, 3] if side > 0 else -near[:, 2]) + 2 * CLEARANCE


def _wall(rng: np.random.Generator, pattern: Pattern, scale: float, gloss: float = 0.0) -> Material:
    palette: list[Color] = [
        (0.52, 0.46, 0.38),
        (0.42, 0.38, 0.33),
        (0.60, 0.57, 0.52),
        (0.33, 0.17, 0.12),
        (0.45, 0.33, 0.22),
        (0.36, 0.37, 0.38),
        (0.55, 0.50, 0.36),
        (0.25, 0.24, 0.24),
    ]
    base = np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.75, 1.15)
    r, g, b = (float(v) for v in np.clip(base, 0.03, 0.8))
    dark = float(rng.uniform(0.02, 0.07))
    return Material((r, g, b), pattern, scale=scale, contrast=0.1, color2=(dark, dark, dark * 1.15), gloss=gloss)


def _block_of_flats(rng: np.random.Generator) -> tuple[Mesh, float]:
    length, depth = rng.uniform(10, 26), rng.uniform(8, 12)
    storey = rng.uniform(2.6, 3.6)
    ground = storey * 1.15
    height = storey * rng.integers(2, 7)
    roof = Material((0.2, 0.19, 0.19), contrast=0.15)
    shop = _wall(rng, Pattern.FACADE, rng.uniform(2.5, 5.0))
    upper = _wall(rng, Pattern.FACADE, storey)
    parts = [
        box([0, 0, 0], [length, depth, ground], shop),
        box([0, 0, ground], [length, depth, height], upper, top=roof),
        box([0, 0, ground + height], [length + 0.4, depth + 0.4, 0.35], _wall(rng, Pattern.PLAIN, 1.0), top=roof),
    ]
    if rng.random() < 0.5:
        parts.append(_gable(length, depth, ground + height + 0.3, rng.uniform(1.5, 3.5), rng))
    if rng.random() < 0.6:
        band = Material(tuple(float(v) for v in rng.uniform(0.05, 0.5, 3)))  # type: ignore[arg-type]
        parts.append(box([0, depth / 2 + 0.06, ground - 0.5], [length * 0.8, 0.12, 0.5], band))
        for x in np.arange(-length / 2 + 2, length / 2 - 1, storey * 1.3):
            if rng.random() < 0.4:
                slab = box([x, depth / 2 + 0.5, ground + storey * rng.integers(1, 3)], [1.8, 1.0, 0.9], upper)
                parts.append(slab)
    return merge(parts), float(length)


def _gable(length: float, depth: float, base: float, rise: float, rng: np.random.Generator) -> Mesh:
    """Return a pitched roof with its ridge along x."""
    tone = rng.uniform(0.6, 1.2)
    color = (0.23 * tone, 0.09 * tone, 0.06 * tone) if rng.random() < 0.6 else (0.1 * tone, 0.1 * tone, 0.11 * tone)
    tiles = Material(color, Pattern.BRICKS, scale=0.6, contrast=0.25, color2=(0.03, 0.03, 0.03))
    x, y = length / 2 + 0.3, depth / 2 + 0.4
    ends = Material((0.4, 0.36, 0.31), contrast=0.12)
    low_front = [[-x, -y, base], [x, -y, base], [x, 0, base + rise], [-x, 0, base + rise]]
    low_back = [[x, y, base], [-x, y, base], [-x, 0, base + rise], [x, 0, base + rise]]
    return merge(
        [
            polygon(low_front, tiles),
            polygon(low_back, tiles),
            polygon([[x, -y, base], [x, y, base], [x, 0, base + rise]], ends),
            polygon([[-x, y, base], [-x, -y, base], [-x, 0, base + rise]], ends),
        ]
    )


def _house(rng: np.random.Generator) -> tuple[Mesh, float]:
    length, depth, height = rng.uniform(8, 14), rng.uniform(7, 10), rng.uniform(2.8, 6.0)
    wall = _wall(rng, Pattern.FACADE, rng.uniform(2.4, 3.4))
    parts = [box([0, 0, 0], [length, depth, height], wall), _gable(length, depth, height, rng.uniform(2, 4), rng)]
    brick = _wall(rng, Pattern.BRICKS, 0.25)
    parts.append(box([rng.uniform(-3, 3), -1, height + 1], [0.7, 0.7, 2.8], brick))
    door = Material(tuple(float(v) for v in rng.uniform(0.03, 0.3, 3)))  # type: ignore[arg-type]
    parts.append(box([rng.uniform(-2, 2), depth / 2 + 0.03, 0], [1.0, 0.06, 2.1], door))
    if rng.random() < 0.5:
        parts.append(box([length / 2 + 1.8, 0, 0], [3.4, depth * 0.7, 2.6], brick))
    return merge(parts), float(length + 4)


def _hall(rng: np.random.Generator) -> tuple[Mesh, float]:
    """Return a low, long industrial building or a garden wall."""
    length, depth, height = rng.uniform(14, 34), rng.uniform(8, 16), rng.uniform(3.5, 7)
    tone = rng.uniform(0.25, 0.5)
    sheet = Material(
        (tone, tone * rng.uniform(0.95, 1.05), tone * rng.uniform(0.9, 1.15)), Pattern.STRIPES, scale=1.2,
        contrast=0.1, color2=(tone * 0.92,) * 3,
    )  # fmt: skip
    gate = Material((0.2, 0.22, 0.26))
    parts = [box([0, 0, 0], [length, depth, height], sheet, top=Material((0.22, 0.22, 0.22)))]
    doors = np.arange(-length / 2 + 3, length / 2 - 2, 7.0)
    parts += [box([x, depth / 2 + 0.04, 0], [3.2, 0.08, 3.0], gate) for x in doors]
    return merge(parts), float(length)


def _grove(rng: np.random.Generator) -> tuple[Mesh, float]:
    """Return trees and bushes."""
    length = rng.uniform(8, 20)
    parts = []
    for _ in range(rng.integers(2, 5)):
        tree = _tree(rng, rng.uniform(5, 11))
        parts.append(tree.moved(rng.uniform(-length / 2, length / 2), rng.uniform(-5, 4), 0, rng.uniform(0, 6)))
    green = rng.uniform(0.7, 1.2)
    leaves = Material((0.055 * green, 0.09 * green, 0.025 * green), Pattern.FOLIAGE, contrast=0.5, reflectance=0.5)
    for _ in range(rng.integers(1, 5)):
        center = np.array([rng.uniform(-length / 2, length / 2), rng.uniform(0, 5), 0.4])
        parts.append(_blob(center, rng.uniform(0.6, 1.5) * np.array([1.2, 1, 0.9]), leaves, rng))
    return merge(parts), float(length)


def _fence(rng: np.random.Generator, length: float) -> Mesh:
    """Return a hedge, a wall or a wooden fence along x."""
    kind = rng.random()
    if kind < 0.4:
        green = rng.uniform(0.7, 1.2)
        leaves = Material((0.05 * green, 0.085 * green, 0.025 * green), Pattern.FOLIAGE, contrast=0.5, reflectance=0.5)
        return box([0, 0, 0], [length, 0.9, rng.uniform(0.9, 1.8)], leaves, taper=0.93)
    if kind < 0.7:
        return box([0, 0, 0], [length, 0.25, rng.uniform(0.7, 1.8)], _wall(rng, Pattern.BRICKS, 0.25))
    wood = Material((0.2, 0.13, 0.08), Pattern.STRIPES, scale=0.24, contrast=0.2, color2=(0.12, 0.08, 0.05))
    return box([0, 0, 0], [length, 0.08, rng.uniform(0.9, 1.7)], wood)


def _skyline(road: Road, s_range: tuple[float, float], rng: np.random.Generator) -> Mesh:
    """Return a belt of distant woods and hills, beyond what the LiDAR reaches."""
    green = rng.uniform(0.6, 1.0)
    woods = Material((0.06 * green, 0.075 * green, 0.035 * green), Pattern.FOLIAGE, contrast=0.35, scale=2.0)
    middle = road.points((s_range[0] + s_range[1]) / 2, 0.0)
    reach = (s_range[1] - s_range[0]) / 2 + 60
    angle = np.linspace(0, 2 * np.pi, 181)
    ridge = 9 + sum(rng.uniform(1, 4) * np.sin(k * angle + rng.uniform(0, 6)) for k in (3, 7, 17, 31))
    rough = np.concatenate([rng.normal(0, 0.7, 180), [0.0]])
    rough[-1] = rough[0]
    low = np.stack([reach * np.cos(angle), 170 * np.sin(angle), np.full(181, -25.0)], axis=-1) + middle
    high = low.copy()
    high[:, 2] = middle[2] + np.maximum(ridge + rough, 2.0)
    # Seen from inside, columns go right when the angle falls.
    return patch(np.stack([low, high])[:, ::-1], woods)

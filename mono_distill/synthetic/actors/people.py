"""Pedestrians, standing or walking; the limbs also serve the riders of cycles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import Mesh


@dataclass(frozen=True)
class Outfit:
    """Looks and build of a person.

    Attributes:
        top: Jacket or shirt.
        sleeves: What covers the forearms: cloth or skin.
        legs: Trousers.
        shoes: Shoes.
        skin: Skin.
        hair: Hair or hat.
        bulk: Girth relative to the average.
        long_hair: Whether the hair falls on the shoulders.
    """

    top: Material
    sleeves: Material
    legs: Material
    shoes: Material
    skin: Material
    hair: Material
    bulk: float
    long_hair: bool


def draw_outfit(rng: np.random.Generator) -> Outfit:
    """Draw clothes, skin, hair and build."""
    top, skin = looks.cloth(rng), looks.skin(rng)
    legs = looks.trousers(rng)
    long_hair = rng.random() < 0.35
    hair = looks.hair(rng) if long_hair or rng.random() < 0.8 else looks.cloth(rng)
    sleeves = top if rng.random() < 0.7 else skin
    shoes = looks.BLACK_TRIM if rng.random() < 0.7 else looks.PALE_SHOES
    return Outfit(top, sleeves, legs, shoes, skin, hair, float(rng.uniform(0.88, 1.18)), long_hair)


def add_limb(
    builder: MeshBuilder, joints: ArrayLike, radii: tuple[float, float, float], upper: Material, lower: Material
) -> NDArray[np.float64]:
    """Add an arm or leg through three joints, (3, 3) metres; return the last joint."""
    line = np.asarray(joints, dtype=np.float64)
    bend = line[1] + 0.1 * (line[2] - line[1])
    # A smaller first ring rounds the shoulder or hip.
    start = line[0] - 0.6 * radii[0] * (line[1] - line[0]) / max(float(np.linalg.norm(line[1] - line[0])), 1e-6)
    line, radius = np.concatenate([start[None], line]), np.concatenate([[0.5 * radii[0]], radii])
    if lower is upper:
        calf = 0.65 * line[2] + 0.35 * line[3]
        line, radius = np.insert(line, 3, calf, axis=0), np.insert(radius, 3, 1.02 * radius[2])
        builder.tube(line, radius, upper)
    else:
        builder.tube([*line[:3], bend], [*radius[:3], radius[2]], upper)
        builder.tube(line[2:], [radius[2] * 0.95, radius[3]], lower)
    return line[-1]


def add_head(
    builder: MeshBuilder, neck: ArrayLike, outfit: Outfit, *, scale: float = 1.0, helmet: Material | None = None
) -> None:
    """Add neck, head and hair (or a helmet) above the foot of the ``neck``, metres."""
    base = np.asarray(neck, dtype=np.float64)
    builder.tube(
        [base - [0, 0, 0.03], base + np.array([0.015, 0, 0.09]) * scale],
        0.055 * scale,
        outfit.skin,
        sides=5,
        capped=False,
    )
    center = base + np.array([0.03, 0, 0.17]) * scale
    builder.ellipsoid(center, np.array([0.095, 0.075, 0.125]) * scale, outfit.skin, rows=5, sides=7)
    if helmet is not None:
        builder.ellipsoid(center + np.array([-0.01, 0, 0.055]) * scale, np.array([0.135, 0.11, 0.10]) * scale, helmet)
        return
    builder.ellipsoid(
        center + np.array([-0.022, 0, 0.03]) * scale, np.array([0.095, 0.085, 0.115]) * scale, outfit.hair, sides=7
    )
    if outfit.long_hair:
        builder.ellipsoid(
            center + np.array([-0.055, 0, -0.08]) * scale, np.array([0.055, 0.085, 0.16]) * scale, outfit.hair, sides=6
        )


def add_torso(
    builder: MeshBuilder, hip: ArrayLike, neck: ArrayLike, outfit: Outfit, *, coat: float = 0.0, stride: float = 0.0
) -> None:
    """Add the trunk between the middle of the hips and the foot of the neck, metres.

    Args:
        builder: Body to add to.
        hip: Middle of the hips.
        neck: Foot of the neck.
        outfit: Looks and build.
        coat: How far a coat falls below the hips, metres.
        stride: How far the feet are from the hips, metres; it spreads the coat.
    """
    low, high = np.asarray(hip, dtype=np.float64), np.asarray(neck, dtype=np.float64)
    axis = high - low
    share = np.array([-0.1, 0.12, 0.5, 0.82, 0.96, 1.0])
    wide = np.array([0.175, 0.165, 0.170, 0.20, 0.125, 0.06]) * outfit.bulk
    deep = np.array([0.115, 0.115, 0.118, 0.115, 0.075, 0.055]) * outfit.bulk
    line = low + share[:, None] * axis
    if coat > 0:
        line = np.concatenate([[low - [0, 0, coat]], line])
        wide, deep = (
            np.concatenate([[0.20 * outfit.bulk], wide]),
            np.concatenate([[0.15 * outfit.bulk + 1.1 * coat * stride], deep]),
        )
    angle = np.arange(9) * (2 * np.pi / 8) + np.pi / 8
    angle[-1] = angle[0]
    forward = np.array([axis[2], 0, -axis[0]]) / np.linalg.norm(axis)
    ring = np.cos(angle)[None, :, None] * deep[:, None, None] * forward
    ring = ring + np.sin(angle)[None, :, None] * wide[:, None, None] * np.array([0, 1.0, 0])
    points = line[:, None] + ring
    builder.grid(points, outfit.top)
    builder.polygon(points[0, -2::-1], outfit.legs)


def build_pedestrian(kind: str, size: tuple[float, float, float], rng: np.random.Generator) -> Mesh:
    """Return a person.

    Args:
        kind: ``standing`` or ``walking``.
        size: Extent, metres; the pose is stretched to fill it.
        rng: Draws pose, clothes, skin, hair and build.
    """
    builder, outfit = MeshBuilder(), draw_outfit(rng)
    walking = kind == 'walking'
    # Steps and elbows suit the size, so that little is left to stretch.
    natural = 1.76 / size[2]
    stride = float(np.clip((size[0] * natural - 0.24) / 2, 0.02, 0.46 if walking else 0.07))
    elbows = float(np.clip(size[1] * natural / 2 - 0.185 * outfit.bulk - 0.055, 0.02, 0.11))
    lead = 1 if rng.random() < 0.5 else -1
    coat = float(rng.uniform(0.15, 0.4)) if rng.random() < 0.25 else 0.0
    lean = 0.04 if walking else 0.0
    hip, neck = np.array([0.0, 0, 0.90]), np.array([lean, 0, 1.47])
    backpack = rng.random() < 0.2
    # Who stands but is long holds something in front of the body.
    hold = 0.0 if walking else size[0] * natural - (0.27 if backpack else 0.16)
    for side in (-1, 1):
        reach = stride * (1 if side == lead else -1)
        _add_leg(builder, outfit, side, reach, walking)
        _add_arm(builder, outfit, side, neck, (-0.75 * reach, elbows, hold if side == lead else 0.0), rng)
    add_torso(builder, hip, neck, outfit, coat=coat, stride=stride)
    add_head(builder, neck, outfit)
    if backpack:
        builder.box(
            (-0.16, 0, 0.98), (0.17, 0.29, 0.40), looks.shaded(looks.cloth(rng), 0.6), taper=(0.75, 0.8), shift=0.03
        )
    return builder.build().scaled_to(*size)


def _add_leg(builder: MeshBuilder, outfit: Outfit, side: int, reach: float, walking: bool) -> None:
    y = side * 0.09
    lift = 0.06 if walking and reach < 0 else 0.0
    foot = np.array([reach, y, 0.07 + lift])
    knee = np.array([0.5 * reach + (0.07 if walking else 0.015), y, 0.49])
    bulk = outfit.bulk
    add_limb(
        builder,
        np.stack([np.array([0, y, 0.92]), knee, foot]),
        (0.098 * bulk, 0.066 * bulk, 0.048),
        outfit.legs,
        outfit.legs,
    )
    toe = foot + [0.15, 0, -0.035 - (0.05 if lift else 0)]
    builder.tube([foot - [0.05, 0, 0.02], foot + [0.05, 0, -0.02], toe], [0.05, 0.048, 0.03], outfit.shoes, sides=5)


def _add_arm(
    builder: MeshBuilder,
    outfit: Outfit,
    side: int,
    neck: NDArray,
    move: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    swing, out, hold = move
    bulk = outfit.bulk
    shoulder = neck + [0, side * 0.185 * bulk, -0.065]
    elbow = shoulder + [0.45 * swing - 0.02, side * out, -0.29]
    hand = elbow + [0.6 * swing + 0.06, side * float(rng.uniform(-0.05, 0.02)), -0.25]
    if hold > 0.28:
        hand = elbow + [min(hold - 0.06, 0.4) - elbow[0], -side * 0.06, 0.05]
    add_limb(builder, [shoulder, elbow, hand], (0.06 * bulk, 0.047 * bulk, 0.036), outfit.top, outfit.sleeves)
    builder.ellipsoid(hand + 0.12 * (hand - elbow), (0.045, 0.035, 0.055), outfit.skin, rows=3, sides=5)

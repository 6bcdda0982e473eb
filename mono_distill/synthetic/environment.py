"""Light and air of a scene."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mono_distill.synthetic.materials import Color
from mono_distill.synthetic.scene import Environment


def draw_environment(rng: np.random.Generator, difficulty: float) -> Environment:
    """Draw weather, time of day and the camera's settings; nothing of it depends on what is in the scene.

    Args:
        rng: Source of the draws.
        difficulty: 0 to 1: more of it means thicker haze, lower sun, worse exposure, more noise.
    """
    sunny = rng.random() < 0.6
    elevation = np.deg2rad(rng.uniform(60 - 42 * difficulty, 65))
    azimuth = rng.uniform(-np.pi, np.pi)
    flat = np.cos(elevation)
    direction = (float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation)))
    # Low sun is warm, because its light crosses more air.
    warmth = float(np.clip(1 - np.sin(elevation), 0, 1))
    cloudiness = float(rng.uniform(0.15, 0.55) if sunny else rng.uniform(0.75, 1.0))
    if sunny:
        strength = rng.uniform(0.75, 1.0)
        sun = (strength, strength * (1 - 0.22 * warmth), strength * (1 - 0.5 * warmth))
        sky = (0.26, 0.35 - 0.03 * warmth, 0.52 - 0.1 * warmth)
        horizon = (0.62 + 0.12 * warmth, 0.68, 0.78 - 0.14 * warmth)
        exposure = 1.5
    else:
        sun = (0.0, 0.0, 0.0)
        grey = rng.uniform(0.42, 0.62)
        tint = rng.uniform(-0.03, 0.05)
        sky = (grey * (1 - tint), grey, grey * (1 + 1.5 * tint))
        horizon = (1.12 * grey * (1 - tint), 1.12 * grey, 1.12 * grey * (1 + tint))
        exposure = 2.2
    fog = rng.random() < 0.25 * difficulty
    visibility = float(rng.uniform(110, 260) if fog else np.exp(rng.uniform(np.log(500), np.log(2500))))
    balance = 1 + rng.normal(0, 0.03, 3)
    return Environment(
        sun_direction=direction,
        sun=_color(sun),
        sky=_color(sky),
        horizon=_color(horizon),
        cloudiness=cloudiness,
        visibility=visibility,
        wetness=float(rng.random() if rng.random() < 0.15 else 0.0),
        exposure=float(exposure * np.exp(rng.normal(0, 0.1 + 0.2 * difficulty))),
        noise=float(rng.uniform(1.0, 2.0 + 4.0 * difficulty)),
        white_balance=_color(balance),
        seed=int(rng.integers(0, 1 << 30)),
    )


def _color(values: Iterable[float]) -> Color:
    red, green, blue = (float(value) for value in values)
    return red, green, blue

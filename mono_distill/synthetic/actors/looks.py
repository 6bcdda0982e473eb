"""Materials of the annotated objects, and the colours that paint, cloth, skin and hair are drawn from."""

from __future__ import annotations

import numpy as np

from mono_distill.synthetic.materials import Color, Material

GLASS = Material((0.020, 0.025, 0.028), contrast=0.0, gloss=0.13, reflectance=0.06)
TYRE = Material((0.022, 0.022, 0.024), contrast=0.1, reflectance=0.06)
UNDERBODY = Material((0.008, 0.008, 0.009), contrast=0.05, reflectance=0.05)
BLACK_TRIM = Material((0.018, 0.018, 0.02), contrast=0.05, gloss=0.02, reflectance=0.08)
GREY_PLASTIC = Material((0.06, 0.06, 0.065), contrast=0.08, reflectance=0.15)
RIM = Material((0.33, 0.34, 0.35), contrast=0.03, gloss=0.08, reflectance=0.45)
HUB_CAP = Material((0.20, 0.205, 0.21), contrast=0.1, gloss=0.05, reflectance=0.4)
CHROME = Material((0.45, 0.46, 0.48), contrast=0.0, gloss=0.3, reflectance=0.5)
METAL = Material((0.28, 0.28, 0.29), contrast=0.1, gloss=0.04, reflectance=0.4)
DARK_METAL = Material((0.05, 0.05, 0.055), contrast=0.1, gloss=0.03, reflectance=0.2)
HEAD_LAMP = Material((0.68, 0.70, 0.72), contrast=0.0, gloss=0.2, reflectance=0.9)
HEAD_LAMP_ON = Material((0.80, 0.79, 0.72), contrast=0.0, gloss=0.1, emission=1.5, reflectance=0.9)
TAIL_LAMP = Material((0.36, 0.012, 0.010), contrast=0.0, gloss=0.03, reflectance=1.0)
TAIL_LAMP_ON = Material((0.62, 0.02, 0.012), contrast=0.0, gloss=0.03, emission=0.45, reflectance=1.0)
INDICATOR = Material((0.62, 0.20, 0.02), contrast=0.0, gloss=0.08, reflectance=0.9)
PLATE_WHITE = Material((0.72, 0.72, 0.70), contrast=0.0, reflectance=1.5)
PALE_SHOES = Material((0.55, 0.54, 0.52), contrast=0.1, reflectance=0.4)
PLATE_YELLOW = Material((0.70, 0.50, 0.06), contrast=0.0, reflectance=1.5)

# Share, linear RGB, reflectance at 905 nm: white, black, greys and silver make up most of the traffic.
_PAINTS: tuple[tuple[float, Color, float], ...] = (
    (0.19, (0.72, 0.72, 0.70), 0.75),
    (0.17, (0.012, 0.012, 0.014), 0.06),
    (0.14, (0.075, 0.080, 0.085), 0.2),
    (0.17, (0.40, 0.41, 0.42), 0.5),
    (0.06, (0.20, 0.20, 0.20), 0.3),
    (0.06, (0.018, 0.035, 0.11), 0.25),
    (0.04, (0.045, 0.11, 0.25), 0.35),
    (0.06, (0.30, 0.018, 0.016), 0.5),
    (0.02, (0.13, 0.014, 0.022), 0.3),
    (0.03, (0.022, 0.065, 0.040), 0.2),
    (0.03, (0.42, 0.35, 0.24), 0.5),
    (0.015, (0.12, 0.075, 0.045), 0.3),
    (0.01, (0.46, 0.17, 0.03), 0.55),
    (0.005, (0.55, 0.40, 0.05), 0.6),
)
_WORK_PAINTS: tuple[tuple[float, Color, float], ...] = (
    (0.40, (0.74, 0.74, 0.72), 0.75),
    (0.15, (0.40, 0.41, 0.42), 0.5),
    (0.15, (0.03, 0.07, 0.22), 0.3),
    (0.12, (0.32, 0.02, 0.018), 0.5),
    (0.08, (0.55, 0.38, 0.03), 0.6),
    (0.05, (0.03, 0.12, 0.05), 0.3),
    (0.05, (0.09, 0.09, 0.10), 0.2),
)
_CLOTHES: tuple[Color, ...] = (
    (0.02, 0.02, 0.022), (0.02, 0.02, 0.022), (0.05, 0.05, 0.055), (0.012, 0.018, 0.045), (0.03, 0.05, 0.11),
    (0.18, 0.18, 0.18), (0.60, 0.59, 0.56), (0.36, 0.35, 0.33), (0.30, 0.035, 0.03), (0.10, 0.018, 0.022),
    (0.05, 0.08, 0.035), (0.30, 0.22, 0.13), (0.12, 0.075, 0.045), (0.08, 0.20, 0.32), (0.48, 0.36, 0.10),
    (0.34, 0.16, 0.18),
)  # fmt: skip
_TROUSERS: tuple[Color, ...] = (
    (0.018, 0.018, 0.02), (0.018, 0.018, 0.02), (0.02, 0.03, 0.07), (0.035, 0.055, 0.11), (0.08, 0.11, 0.17),
    (0.09, 0.09, 0.09), (0.26, 0.20, 0.13), (0.07, 0.06, 0.045),
)  # fmt: skip
_SKIN: tuple[Color, ...] = ((0.52, 0.31, 0.22), (0.42, 0.24, 0.16), (0.27, 0.14, 0.085), (0.12, 0.058, 0.035))
_HAIR: tuple[Color, ...] = (
    (0.012, 0.010, 0.009), (0.03, 0.018, 0.011), (0.07, 0.036, 0.018), (0.28, 0.18, 0.08), (0.30, 0.29, 0.28),
)  # fmt: skip


def _tint(color: Color, rng: np.random.Generator, amount: float) -> Color:
    """Vary brightness and, less, hue."""
    value = np.asarray(color) * rng.uniform(1 - amount, 1 + amount) * rng.uniform(1 - amount / 4, 1 + amount / 4, 3)
    red, green, blue = (float(channel) for channel in np.clip(value, 0.004, 0.85))
    return red, green, blue


def _paint(table: tuple[tuple[float, Color, float], ...], rng: np.random.Generator, gloss: float) -> Material:
    shares = np.array([share for share, _, _ in table])
    _, color, reflectance = table[int(rng.choice(len(table), p=shares / shares.sum()))]
    value = float(np.clip(reflectance * rng.uniform(0.8, 1.2), 0.04, 0.9))
    return Material(_tint(color, rng, 0.2), contrast=0.02, gloss=gloss, reflectance=value)


def car_paint(rng: np.random.Generator) -> Material:
    """Draw the paint of a car."""
    return _paint(_PAINTS, rng, 0.06)


def work_paint(rng: np.random.Generator) -> Material:
    """Draw the paint of a lorry, bus or trailer."""
    return _paint(_WORK_PAINTS, rng, 0.04)


def cloth(rng: np.random.Generator) -> Material:
    """Draw the cloth of a jacket or shirt."""
    color = _CLOTHES[int(rng.integers(len(_CLOTHES)))]
    return Material(_tint(color, rng, 0.3), contrast=0.15, reflectance=float(rng.uniform(0.1, 0.6)))


def trousers(rng: np.random.Generator) -> Material:
    """Draw the cloth of trousers."""
    color = _TROUSERS[int(rng.integers(len(_TROUSERS)))]
    return Material(_tint(color, rng, 0.3), contrast=0.15, reflectance=float(rng.uniform(0.1, 0.5)))


def skin(rng: np.random.Generator) -> Material:
    """Draw a skin tone."""
    return Material(_tint(_SKIN[int(rng.integers(len(_SKIN)))], rng, 0.15), contrast=0.03, reflectance=0.5)


def hair(rng: np.random.Generator) -> Material:
    """Draw the colour of hair."""
    return Material(_tint(_HAIR[int(rng.integers(len(_HAIR)))], rng, 0.2), contrast=0.15, reflectance=0.3)


def plate(rng: np.random.Generator) -> Material:
    """Draw the ground of a number plate."""
    return PLATE_YELLOW if rng.random() < 0.15 else PLATE_WHITE


def shaded(material: Material, factor: float) -> Material:
    """Return a material with its colour multiplied by ``factor``."""
    red, green, blue = material.color
    return Material(
        (red * factor, green * factor, blue * factor),
        contrast=material.contrast,
        gloss=material.gloss,
        reflectance=material.reflectance,
    )

"""Draws bodies: which kinds a category has, how large they are, and their meshes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from mono_distill.synthetic.actors.cars import build_car
from mono_distill.synthetic.actors.cycles import build_bicycle, build_motorcycle
from mono_distill.synthetic.actors.heavy_vehicles import (
    build_box_truck,
    build_bus,
    build_flatbed,
    build_trailer,
)
from mono_distill.synthetic.actors.machines import build_excavator, build_wheel_loader
from mono_distill.synthetic.actors.people import build_pedestrian
from mono_distill.synthetic.actors.street_objects import build_barrier, build_cone
from mono_distill.synthetic.mesh import Mesh
from mono_distill.utils.errors import ConfigError, did_you_mean

Size = tuple[float, float, float]

# Sizes beyond this many standard deviations are not drawn.
_LIMIT = 2.5


@dataclass(frozen=True)
class Body:
    """An annotated object's body.

    Attributes:
        kind: Finer kind within its category.
        size: Length, width, height, metres; ``mesh`` touches every face of that box.
        mesh: x forward, y left, z up, centred in x and y, lowest point at z = 0.
    """

    kind: str
    size: Size
    mesh: Mesh


@dataclass(frozen=True)
class KindModel:
    """How a kind is drawn.

    Attributes:
        weight: Share within its category.
        mean: Mean length, width and height, metres.
        deviation: Their standard deviations, metres.
        build: Makes the mesh from a size and a generator.
        common: Share of the variance that the three have in common: large things are large every way.
    """

    weight: float
    mean: Size
    deviation: Size
    build: Callable[[Size, np.random.Generator], Mesh]
    common: float = 0.4


# KITTI's statistics for cars, vans, people and cyclists; nuScenes' for the rest.
MODELS: dict[str, dict[str, KindModel]] = {
    'vehicle.car': {
        'hatchback': KindModel(0.36, (3.62, 1.60, 1.50), (0.24, 0.07, 0.06), partial(build_car, 'hatchback')),
        'sedan': KindModel(0.18, (4.28, 1.68, 1.44), (0.22, 0.06, 0.04), partial(build_car, 'sedan')),
        'estate': KindModel(0.14, (4.22, 1.67, 1.48), (0.24, 0.06, 0.05), partial(build_car, 'estate')),
        'suv': KindModel(0.12, (4.05, 1.71, 1.70), (0.30, 0.08, 0.07), partial(build_car, 'suv')),
        'coupe': KindModel(0.06, (3.95, 1.65, 1.37), (0.22, 0.06, 0.05), partial(build_car, 'coupe')),
        'pickup': KindModel(0.03, (4.85, 1.78, 1.76), (0.25, 0.07, 0.07), partial(build_car, 'pickup')),
        'van': KindModel(0.11, (5.08, 1.90, 2.20), (0.45, 0.12, 0.22), partial(build_car, 'van')),
    },
    'vehicle.truck': {
        'box_truck': KindModel(0.65, (7.0, 2.50, 2.95), (1.1, 0.18, 0.35), build_box_truck),
        'flatbed': KindModel(0.35, (6.7, 2.45, 2.55), (1.0, 0.18, 0.25), build_flatbed),
    },
    'vehicle.bus.rigid': {'city_bus': KindModel(1.0, (11.0, 2.90, 3.50), (1.2, 0.12, 0.22), build_bus)},
    'vehicle.trailer': {'box_trailer': KindModel(1.0, (12.3, 2.90, 3.90), (1.4, 0.14, 0.20), build_trailer)},
    'vehicle.construction': {
        'excavator': KindModel(0.5, (6.5, 2.8, 3.2), (0.8, 0.25, 0.30), build_excavator),
        'wheel_loader': KindModel(0.5, (6.3, 2.8, 3.2), (0.7, 0.25, 0.25), build_wheel_loader),
    },
    'human.pedestrian.adult': {
        'standing': KindModel(0.35, (0.55, 0.66, 1.76), (0.10, 0.09, 0.10), partial(build_pedestrian, 'standing'), 0.1),
        'walking': KindModel(0.65, (1.00, 0.66, 1.76), (0.15, 0.09, 0.10), partial(build_pedestrian, 'walking'), 0.1),
    },
    'vehicle.motorcycle': {
        'parked': KindModel(0.5, (2.1, 0.80, 1.30), (0.16, 0.06, 0.08), partial(build_motorcycle, 'parked')),
        'rider': KindModel(0.5, (2.1, 0.80, 1.68), (0.16, 0.06, 0.09), partial(build_motorcycle, 'rider')),
    },
    'vehicle.bicycle': {
        'parked': KindModel(0.4, (1.70, 0.58, 1.10), (0.10, 0.05, 0.05), partial(build_bicycle, 'parked')),
        'rider': KindModel(0.6, (1.76, 0.60, 1.74), (0.12, 0.06, 0.10), partial(build_bicycle, 'rider')),
    },
    'movable_object.trafficcone': {'cone': KindModel(1.0, (0.40, 0.40, 1.07), (0.05, 0.05, 0.13), build_cone, 0.8)},
    'movable_object.barrier': {
        'concrete': KindModel(0.5, (0.50, 2.50, 1.0), (0.05, 0.35, 0.08), partial(build_barrier, 'concrete'), 0.1),
        'boards': KindModel(0.5, (0.50, 2.50, 1.0), (0.05, 0.35, 0.08), partial(build_barrier, 'boards'), 0.1),
    },
}

KINDS: dict[str, tuple[tuple[str, float], ...]] = {
    category: tuple((kind, model.weight) for kind, model in kinds.items()) for category, kinds in MODELS.items()
}


def build_body(category: str, rng: np.random.Generator, *, spread: float = 1.0) -> Body:
    """Draw a body of a category.

    Args:
        category: One of :data:`mono_distill.synthetic.scene.CATEGORIES`.
        rng: Draws kind, size, shape and looks.
        spread: Factor on the standard deviations of the sizes; 0 gives every body of a kind its mean size.

    Returns:
        The body.

    Raises:
        ConfigError: If the category is unknown or ``spread`` is negative.
    """
    models = _models(category)
    weights = np.array([model.weight for model in models.values()])
    kind = tuple(models)[int(rng.choice(len(weights), p=weights / weights.sum()))]
    return build_kind(category, kind, rng, spread=spread)


def build_kind(category: str, kind: str, rng: np.random.Generator, *, spread: float = 1.0) -> Body:
    """Draw a body of a kind, as :func:`build_body` does.

    Raises:
        ConfigError: If the category or kind is unknown or ``spread`` is negative.
    """
    models = _models(category)
    if kind not in models:
        raise ConfigError(f"{category} has no kind '{kind}'; {did_you_mean(kind, models)}")
    if not 0 <= spread < np.inf:
        raise ConfigError(f'spread must be a finite number, at least 0; got {spread}')
    size = draw_size(models[kind], rng, spread)
    return Body(kind, size, models[kind].build(size, rng))


def draw_size(model: KindModel, rng: np.random.Generator, spread: float) -> Size:
    """Draw length, width and height in metres; never below half the mean."""
    shared, own = rng.standard_normal(), rng.standard_normal(3)
    normal = np.clip(np.sqrt(model.common) * shared + np.sqrt(1 - model.common) * own, -_LIMIT, _LIMIT)
    mean = np.asarray(model.mean)
    length, width, height = np.maximum(mean + spread * normal * np.asarray(model.deviation), 0.5 * mean)
    return float(length), float(width), float(height)


def _models(category: str) -> dict[str, KindModel]:
    if category not in MODELS:
        raise ConfigError(f"no bodies for the category '{category}'; {did_you_mean(category, MODELS)}")
    return MODELS[category]

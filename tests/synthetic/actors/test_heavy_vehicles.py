from __future__ import annotations

import numpy as np
from body_views import look, share_of

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.heavy_vehicles import build_box_truck, build_bus, build_flatbed, build_trailer


def highest(mesh, low: float, high: float) -> float:
    """Highest point between two x, metres."""
    x = mesh.vertices[:, 0]
    return float(mesh.vertices[(x > low) & (x < high), 2].max())


def test_the_box_of_a_truck_overtops_its_cab():
    mesh = build_box_truck((7.0, 2.5, 2.95), np.random.default_rng(0))
    assert highest(mesh, 2.2, 3.5) < 2.75
    assert highest(mesh, -3.5, 0) > 2.9


def test_the_cab_of_a_flatbed_overtops_its_load():
    mesh = build_flatbed((6.7, 2.45, 2.55), np.random.default_rng(0))
    assert highest(mesh, -3.4, 0) < 2.3
    assert highest(mesh, 2.0, 3.4) > 2.5


def test_a_bus_has_windows_all_along():
    mesh = build_bus((11.0, 2.9, 3.5), np.random.default_rng(0))
    for azimuth in (0, 90, 270):
        assert share_of(mesh, look(mesh, azimuth), looks.GLASS) > 0.2


def test_a_trailer_has_no_cab():
    mesh = build_trailer((12.3, 2.9, 3.9), np.random.default_rng(0))
    assert looks.GLASS not in mesh.materials
    assert looks.HEAD_LAMP not in mesh.materials

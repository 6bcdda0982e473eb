from __future__ import annotations

import numpy as np
import pytest
from body_views import look, share_of

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.car_shapes import SHAPES
from mono_distill.synthetic.actors.cars import build_car
from mono_distill.synthetic.mesh import Mesh

SIZE = (4.0, 1.65, 1.5)


def car(kind: str, seed: int = 0) -> Mesh:
    return build_car(kind, SIZE, np.random.default_rng(seed))


def height_at(mesh: Mesh, low: float, high: float) -> float:
    """Highest point between two shares of the length from the nose."""
    share = 0.5 - mesh.vertices[:, 0] / SIZE[0]
    return float(mesh.vertices[(share >= low) & (share <= high), 2].max())


@pytest.mark.parametrize('kind', SHAPES)
def test_a_car_is_symmetric(kind):
    mesh = car(kind)
    points = {tuple(np.round(p, 3)) for p in mesh.vertices.astype(float)}
    mirrored = {(x, -y + 0.0, z) for x, y, z in points}
    assert len(points & mirrored) > 0.7 * len(points)


@pytest.mark.parametrize('kind', SHAPES)
def test_the_bonnet_is_lower_than_the_roof(kind):
    assert height_at(car(kind), 0.0, 0.1) < 0.65 * SIZE[2]


def test_a_sedan_has_a_boot_and_an_estate_has_none():
    assert height_at(car('sedan'), 0.93, 1.0) < 0.75 * SIZE[2]
    assert height_at(car('estate'), 0.88, 0.95) > 0.85 * SIZE[2]


def test_a_pickup_has_an_open_bed():
    mesh = car('pickup')
    inside = (np.abs(mesh.vertices[:, 0] + 0.3 * SIZE[0]) < 0.6) & (np.abs(mesh.vertices[:, 1]) < 0.5)
    assert mesh.vertices[inside, 2].max() < 0.65 * SIZE[2]


@pytest.mark.parametrize('kind', SHAPES)
def test_a_car_has_glass_tyres_and_plates(kind):
    mesh = car(kind, 1)
    side, front, rear = look(mesh, 90), look(mesh, 0), look(mesh, 180)
    assert share_of(mesh, side, looks.TYRE) > 0.03
    assert share_of(mesh, front, looks.GLASS) > 0.12
    for view in (front, rear):
        assert share_of(mesh, view, looks.PLATE_WHITE, looks.PLATE_YELLOW) > 0.004


@pytest.mark.parametrize('kind', SHAPES)
def test_the_greenhouse_is_narrower_than_the_doors(kind):
    mesh = car(kind)
    roof = mesh.vertices[mesh.vertices[:, 2] > 0.92 * SIZE[2]]
    assert np.abs(roof[:, 1]).max() < 0.46 * SIZE[1]


@pytest.mark.parametrize('size', [(3.0, 1.5, 1.4), (6.2, 2.2, 2.9), (3.2, 1.9, 2.0)])
@pytest.mark.parametrize('kind', SHAPES)
def test_odd_sizes_still_make_sound_bodies(kind, size):
    mesh = build_car(kind, size, np.random.default_rng(3))
    for azimuth in (20, 110, 200):
        assert look(mesh, azimuth).outward.mean() > 0.98

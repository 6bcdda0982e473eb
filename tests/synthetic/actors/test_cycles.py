from __future__ import annotations

import numpy as np
import pytest
from body_views import look, share_of

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.cycles import build_bicycle, build_motorcycle

BUILDERS = {'bicycle': (build_bicycle, (1.76, 0.6, 1.74)), 'motorcycle': (build_motorcycle, (2.1, 0.8, 1.6))}


@pytest.mark.parametrize('name', BUILDERS)
def test_a_rider_hides_more_than_a_parked_cycle_does(name):
    build, size = BUILDERS[name]
    ridden, parked = (build(kind, size, np.random.default_rng(0)) for kind in ('rider', 'parked'))
    assert len(look(ridden, 0).triangle) > 1.3 * len(look(parked, 0).triangle)


@pytest.mark.parametrize('kind', ['parked', 'rider'])
@pytest.mark.parametrize('name', BUILDERS)
def test_both_wheels_stand_on_the_ground(name, kind):
    build, size = BUILDERS[name]
    mesh = build(kind, size, np.random.default_rng(1))
    tyre = mesh.materials.index(looks.TYRE)
    points = mesh.vertices[np.unique(mesh.faces[mesh.material == tyre])]
    for half in (points[points[:, 0] > 0], points[points[:, 0] < 0]):
        assert half[:, 2].min() < 0.02


def test_one_can_look_through_the_wheels_of_a_bicycle():
    mesh = build_bicycle('parked', (1.7, 0.58, 1.1), np.random.default_rng(0))
    seen = look(mesh, 90)
    assert share_of(mesh, seen, looks.TYRE) > 0.15
    assert len(seen.triangle) < 0.25 * 90**2

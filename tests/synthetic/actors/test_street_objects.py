from __future__ import annotations

import numpy as np
import pytest
from body_views import look

from mono_distill.synthetic.actors.street_objects import build_barrier, build_cone


def test_a_cone_is_small_and_pointed():
    mesh = build_cone((0.4, 0.4, 1.07), np.random.default_rng(0))
    assert len(mesh.faces) < 100
    top = mesh.vertices[mesh.vertices[:, 2] > 1.0]
    assert np.ptp(top[:, 0]) < 0.1


def test_a_cone_has_reflecting_bands():
    mesh = build_cone((0.4, 0.4, 1.07), np.random.default_rng(0))
    seen = look(mesh, 0)
    bright = [mesh.materials[i].reflectance > 1 for i in mesh.material[seen.triangle]]
    assert 0.1 < np.mean(bright) < 0.5


@pytest.mark.parametrize('kind', ['concrete', 'boards'])
def test_a_barrier_stands_across(kind):
    mesh = build_barrier(kind, (0.5, 2.5, 1.0), np.random.default_rng(0))
    assert len(look(mesh, 0).triangle) > 2 * len(look(mesh, 90).triangle)

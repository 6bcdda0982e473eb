from __future__ import annotations

import numpy as np
import pytest
from body_views import look, share_of

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.actors.wheels import add_hoop, add_wheel


@pytest.mark.parametrize('spokes', [0, 5])
@pytest.mark.parametrize('side', [-1, 1])
def test_a_wheel_shows_its_rim_on_the_outside(side, spokes):
    builder = MeshBuilder()
    add_wheel(builder, (1.0, side * 0.8, 0.3), 0.3, 0.2, spokes=spokes)
    mesh = builder.build()
    seen = look(mesh, side * 90, 5)
    assert seen.outward.all()
    assert look(mesh, side * -90, 5).outward.all()
    assert share_of(mesh, seen, looks.RIM) > 0.15
    assert share_of(mesh, seen, looks.TYRE) > 0.4
    assert mesh.bounds[0][2] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize('turn', [0.0, 0.4])
def test_a_hoop_is_open(turn):
    builder = MeshBuilder()
    add_hoop(builder, (0, 0, 0.35), 0.35, 0.05, looks.TYRE, turn=turn)
    mesh = builder.build()
    assert np.linalg.norm(mesh.vertices - [0, 0, 0.35], axis=1).min() > 0.28
    assert look(mesh, 60).outward.all()

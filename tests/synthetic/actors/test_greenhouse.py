from __future__ import annotations

import numpy as np
from body_views import look, share_of

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.actors.car_shapes import SHAPES
from mono_distill.synthetic.actors.greenhouse import add_greenhouse
from mono_distill.synthetic.materials import Material

SIZE = (4.3, 1.68, 1.44)


def greenhouse():
    builder = MeshBuilder()
    x = np.linspace(2.0, -2.0, 9)
    rim = np.stack([x, np.full(9, 0.75), np.full(9, 0.9)], axis=1)
    add_greenhouse(builder, SHAPES['sedan'], SIZE, rim, Material((0.3, 0.3, 0.3)), np.random.default_rng(0))
    return builder.build()


def test_it_stands_between_the_rim_and_the_roof():
    low, high = greenhouse().bounds
    assert low[2] < 0.9
    assert abs(high[2] - SIZE[2]) < 0.05
    assert high[1] < 0.76


def test_it_has_glass_on_every_side():
    mesh = greenhouse()
    for azimuth in (0, 90, 180, 270):
        view = look(mesh, azimuth)
        assert view.outward.all()
        assert share_of(mesh, view, looks.GLASS) > 0.4

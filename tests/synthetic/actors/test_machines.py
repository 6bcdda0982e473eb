from __future__ import annotations

import numpy as np
from body_views import look, share_of

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.actors.machines import build_excavator, build_wheel_loader

SIZE = (6.4, 2.8, 3.2)


def test_the_arm_of_an_excavator_reaches_forward_and_high():
    mesh = build_excavator(SIZE, np.random.default_rng(0))
    front = mesh.vertices[mesh.vertices[:, 0] > 0.3 * SIZE[0]]
    assert np.abs(front[:, 1]).max() < 0.4 * SIZE[1]
    assert np.ptp(front[:, 2]) > 0.6 * SIZE[2]


def test_the_bucket_of_a_loader_is_as_wide_as_the_machine():
    mesh = build_wheel_loader(SIZE, np.random.default_rng(0))
    front = mesh.vertices[mesh.vertices[:, 0] > 0.4 * SIZE[0]]
    assert np.ptp(front[:, 1]) > 0.95 * SIZE[1]
    assert share_of(mesh, look(mesh, 0), looks.DARK_METAL) > share_of(mesh, look(mesh, 180), looks.DARK_METAL)

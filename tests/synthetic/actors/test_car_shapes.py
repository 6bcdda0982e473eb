from __future__ import annotations

import numpy as np
import pytest

from mono_distill.synthetic.actors.car_shapes import SHAPES, draw_shape


@pytest.mark.parametrize('kind', SHAPES)
def test_pillars_follow_each_other_from_front_to_rear(kind):
    for seed in range(50):
        shape = draw_shape(kind, np.random.default_rng(seed))
        assert (np.diff([pillar.base for pillar in shape.pillars]) > 0).all()
        assert (np.diff([pillar.top for pillar in shape.pillars]) > 0).all()


@pytest.mark.parametrize('kind', SHAPES)
def test_axles_leave_room_for_the_wheels(kind):
    front, rear = SHAPES[kind].axles
    assert 0.15 < front < 0.25
    assert 0.75 < rear < 0.87


def test_some_vans_have_windows_behind_the_driver():
    panels = {''.join(p.panel for p in draw_shape('van', np.random.default_rng(seed)).pillars) for seed in range(20)}
    assert panels == {'pgppppp' + 'p', 'pgpgpgpp'}

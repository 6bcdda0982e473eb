from __future__ import annotations

import numpy as np
import pytest
from body_views import look

from mono_distill.synthetic.actors.people import build_pedestrian, draw_outfit

SIZE = (0.9, 0.66, 1.76)


def at_height(mesh, low: float, high: float) -> np.ndarray:
    share = mesh.vertices[:, 2] / SIZE[2]
    return mesh.vertices[(share >= low) & (share <= high)]


@pytest.mark.parametrize('kind', ['standing', 'walking'])
def test_a_head_is_narrower_than_the_shoulders(kind):
    mesh = build_pedestrian(kind, SIZE, np.random.default_rng(0))
    assert np.ptp(at_height(mesh, 0.9, 1.0)[:, 1]) < 0.5 * np.ptp(at_height(mesh, 0.4, 0.85)[:, 1])


def test_who_walks_has_the_feet_apart():
    walking, standing = (build_pedestrian(kind, SIZE, np.random.default_rng(2)) for kind in ('walking', 'standing'))
    left, right = (at_height(walking, 0, 0.1)[:, 0][at_height(walking, 0, 0.1)[:, 1] * side > 0] for side in (1, -1))
    assert abs(left.mean() - right.mean()) > 0.4
    left, right = (at_height(standing, 0, 0.1)[:, 0][at_height(standing, 0, 0.1)[:, 1] * side > 0] for side in (1, -1))
    assert abs(left.mean() - right.mean()) < 0.4


def test_either_foot_can_lead():
    leads = set()
    for seed in range(12):
        mesh = build_pedestrian('walking', SIZE, np.random.default_rng(seed))
        feet = at_height(mesh, 0, 0.06)
        leads.add(bool(feet[feet[:, 0].argmax(), 1] > 0))
    assert leads == {True, False}


def test_most_of_a_person_is_clothed():
    mesh = build_pedestrian('walking', SIZE, np.random.default_rng(5))
    outfit = draw_outfit(np.random.default_rng(5))
    seen = look(mesh, 40)
    materials = [mesh.materials[i] for i in mesh.material[seen.triangle]]
    clothed = sum(material in (outfit.top, outfit.legs) for material in materials)
    assert clothed > 0.5 * len(materials)
    assert outfit.skin in materials


def test_outfits_differ():
    rng = np.random.default_rng(0)
    outfits = [draw_outfit(rng) for _ in range(20)]
    assert len({outfit.top for outfit in outfits}) == 20
    assert len({outfit.skin for outfit in outfits}) > 10

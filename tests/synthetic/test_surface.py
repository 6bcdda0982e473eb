from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_scene import CLEAR, FLAT, small_scene

from mono_distill.synthetic.materials import Material, Pattern
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.shapes import polygon
from mono_distill.synthetic.surface import DASH, HALF_WIDTH, PERIOD, road_parameters, surface_reflectance

WALL = np.array([[10.0, -5, 0], [10, -5, 8], [10, 5, 8], [10, 5, 0]])[::-1]


def returned(material, directions=((1.0, 0, 0),)):
    """Reflectance and cosine of rays from (0, 0, 4) to a wall at x = 10."""
    scene = replace(small_scene(), background=polygon(WALL, material))
    caster = RayCaster(scene, 0.0, center=(0, 0, 0))
    ways = np.array(directions, dtype=np.float32)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    hits = caster.cast((0, 0, 4), ways)
    assert np.all(hits.triangle >= 0)
    return surface_reflectance(caster, hits, np.arange(len(ways)), ways)


def plain(**kwargs):
    return Material((0.5, 0.5, 0.5), contrast=0.0, **kwargs)


def test_road_parameters_are_in_the_order_that_the_kernel_reads():
    row = road_parameters(replace(FLAT, lanes=(2, 1)), 4)
    # Seed 4 marks the edges and has a solid centre line.
    assert row == pytest.approx([3.5, 2, 1, DASH, PERIOD, HALF_WIDTH, 1, 1, 4])
    assert road_parameters(FLAT, 3)[6:8].tolist() == [0, 0]


@pytest.mark.parametrize('reflectance', [0.05, 0.8, 1.5])
def test_matt_surface_returns_its_reflectance_retro_reflectors_more_than_1(reflectance):
    share, cosine = returned(plain(reflectance=reflectance))
    assert share == pytest.approx([reflectance])
    assert cosine == pytest.approx([1])


def test_cosine_is_that_of_the_angle_of_incidence():
    _, cosine = returned(plain(), [(1, 0, 0), (1, 0.4, 0), (1, -0.3, 0.2)])
    assert cosine == pytest.approx([1, 1 / np.sqrt(1.16), 1 / np.sqrt(1.13)], abs=1e-5)


def test_glass_mirrors_the_pulse_away():
    glass, paint = returned(plain(gloss=0.3))[0], returned(plain(gloss=0.05))[0]
    assert paint == pytest.approx(returned(plain())[0])
    assert glass == pytest.approx(0.4 * paint)


def test_texture_changes_what_returns():
    stripes = Material(
        (0.2, 0.2, 0.2), Pattern.STRIPES, scale=2.0, contrast=0.0, color2=(0.4, 0.4, 0.4), reflectance=0.3
    )
    ways = [(1, y, 0) for y in np.linspace(-0.4, 0.4, 81)] + [(1, 0, z) for z in np.linspace(-0.3, 0.3, 81)]
    assert np.unique(np.round(returned(stripes, ways)[0], 3)) == pytest.approx([0.3, 0.6])


def test_only_the_asked_hits_are_returned_in_their_order():
    ways = np.array([(1, 0.4, 0), (0, 0, 1), (1, 0, 0)], dtype=np.float32)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    scene = replace(small_scene(), background=polygon(WALL, plain()), environment=CLEAR)
    caster = RayCaster(scene, 0.0, center=(0, 0, 0))
    hits = caster.cast((0, 0, 4), ways)
    index = np.array([2, 0])
    _, cosine = surface_reflectance(caster, hits, index, ways[index])
    assert cosine == pytest.approx([1, 1 / np.sqrt(1.16)], abs=1e-5)

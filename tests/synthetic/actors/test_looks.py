from __future__ import annotations

import numpy as np
import pytest

from mono_distill.synthetic.actors import looks
from mono_distill.synthetic.materials import Material


@pytest.mark.parametrize(
    'draw', [looks.car_paint, looks.work_paint, looks.cloth, looks.trousers, looks.skin, looks.hair]
)
def test_colours_are_plausible_albedos(draw):
    rng = np.random.default_rng(0)
    colors = np.array([draw(rng).color for _ in range(300)])
    assert colors.min() > 0
    assert colors.max() <= 0.85


def test_most_cars_are_white_black_or_grey():
    rng = np.random.default_rng(0)
    colors = np.array([looks.car_paint(rng).color for _ in range(1000)])
    grey = np.ptp(colors, axis=1) < 0.25 * colors.max(axis=1)
    assert 0.65 < grey.mean() < 0.9


def test_plates_are_retro_reflective():
    assert looks.plate(np.random.default_rng(0)).reflectance == 1.5


def test_shaded_keeps_all_but_the_colour():
    material = Material((0.4, 0.2, 0.1), gloss=0.3, reflectance=0.7, contrast=0.2)
    darker = looks.shaded(material, 0.5)
    assert darker == Material((0.2, 0.1, 0.05), gloss=0.3, reflectance=0.7, contrast=0.2)

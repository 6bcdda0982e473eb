from __future__ import annotations

import numpy as np
import pytest
from kitti_frames import random_picture

from mono_distill.datasets.transforms import CenterNetColorAug
from mono_distill.datasets.transforms.color import EIGENVALUES, EIGENVECTORS, LUMINANCE
from mono_distill.utils.errors import ConfigError


@pytest.fixture
def picture() -> np.ndarray:
    return random_picture(24, 40)


def _step_by_step(picture, factors, order, noise):
    """CenterNet's procedure, one operation after another, on values in [0, 1]."""
    image = picture / 255
    grey = image @ LUMINANCE
    others = dict(brightness=0.0, contrast=grey.mean(), saturation=grey[..., None])
    for name in order:
        image = factors[name] * image + (1 - factors[name]) * others[name]
    return 255 * (image + EIGENVECTORS @ (EIGENVALUES * noise))


@pytest.mark.parametrize('order', [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_colour_matrix_is_the_chain_of_operations(picture, monkeypatch, order):
    factors = dict(brightness=1.2, contrast=0.7, saturation=1.35)
    noise = np.array([0.1, -0.2, 0.05])
    monkeypatch.setattr(np.random, 'random', lambda: 0.0)
    monkeypatch.setattr(np.random, 'uniform', lambda low, high, size: np.array(list(factors.values())))
    monkeypatch.setattr(np.random, 'permutation', lambda count: np.array(order))
    monkeypatch.setattr(np.random, 'normal', lambda scale, size: noise)
    expected = _step_by_step(picture, factors, [list(factors)[index] for index in order], noise)
    np.testing.assert_allclose(CenterNetColorAug()(dict(img=picture))['img'], expected, atol=1e-3)


def test_the_three_factors_are_drawn_from_the_jitter_range(picture, monkeypatch):
    asked = []
    monkeypatch.setattr(np.random, 'uniform', lambda *bounds: asked.append(bounds) or np.ones(3))
    CenterNetColorAug(0.3)(dict(img=picture))
    assert asked == [(0.7, 1.3, 3)]


def test_lighting_follows_the_principal_components(picture):
    black = np.zeros_like(picture)
    # On black only the lighting is seen.
    shifts = np.array([CenterNetColorAug(0.4, 0.1)(dict(img=black))['img'][0, 0] for _ in range(500)]) / 255
    expected = 0.01 * (EIGENVECTORS * EIGENVALUES**2) @ EIGENVECTORS.T
    np.testing.assert_allclose(np.cov(shifts.T), expected, atol=3e-5)


def test_without_jitter_and_lighting_only_the_type_changes(picture):
    image = CenterNetColorAug(0.0, 0.0)(dict(img=picture))['img']
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, picture, atol=1e-4)


def test_with_probability_zero_the_picture_stays(picture):
    np.testing.assert_array_equal(CenterNetColorAug(prob=0.0)(dict(img=picture))['img'], picture)


def test_the_input_picture_is_not_changed_in_place(picture):
    before = picture.copy()
    CenterNetColorAug()(dict(img=picture))
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize('kwargs', [dict(jitter=1.2), dict(lighting=-0.1), dict(prob=-1)])
def test_impossible_settings_are_refused(kwargs):
    with pytest.raises(ConfigError, match=f'{next(iter(kwargs))}={next(iter(kwargs.values()))}'):
        CenterNetColorAug(**kwargs)


@pytest.mark.parametrize(('channel', 'luminance'), [(0, 0.114), (1, 0.587), (2, 0.299)])
def test_a_picture_without_saturation_has_the_luminance_of_its_blue_green_and_red(monkeypatch, channel, luminance):
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., channel] = 200
    # Brightness and contrast 1, saturation 0, in whatever order they come.
    monkeypatch.setattr(np.random, 'uniform', lambda *args, **kwargs: np.array([1.0, 1.0, 0.0]))
    grey = CenterNetColorAug(1.0, 0.0)(dict(img=image))['img']
    np.testing.assert_allclose(grey, 200 * luminance, atol=1e-3)

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mono_distill.datasets.kitti.projection import project_cam_to_img
from mono_distill.datasets.transforms import MonoRandomCropAffine, MonoRandomFlip
from mono_distill.datasets.transforms.geometry import affine_points
from mono_distill.utils.errors import ConfigError

SIZE = (320, 96)


def _crop(results, prob=1.0, **kwargs):
    return MonoRandomCropAffine(SIZE, prob, **kwargs)(results)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), flip=st.booleans(), crop=st.booleans(), shift=st.sampled_from([0.0, 0.05, 0.1]))
def test_projected_boxes_are_where_the_augmented_centres_are(make_sample, seed, flip, crop, shift):
    np.random.seed(seed)
    results = MonoRandomFlip(prob=float(flip))(make_sample(seed))
    results = _crop(results, prob=float(crop), shift=shift)
    centres, depths = project_cam_to_img(results['gt_bboxes_3d'].gravity_center.numpy(), results['cam2img'])
    np.testing.assert_allclose(results['gt_centers_2d'], centres, atol=2e-3)
    np.testing.assert_allclose(results['gt_depths'], depths, rtol=1e-6)
    assert results['img'].shape == (96, 320, 3)
    assert results['depth_map'].shape == (96, 320)


@pytest.mark.parametrize('seed', range(4))
def test_picture_and_depth_map_stay_aligned(make_sample, seed):
    np.random.seed(seed)
    results = make_sample(seed)
    # The same content in both: after any flip and crop they must still be equal, up to OpenCV's integer rounding.
    results['depth_map'] = results['img'][..., 0].astype(np.float32) + 1
    results = _crop(MonoRandomFlip(prob=0.5)(results))
    inside = results['depth_map'] > 0
    assert inside.any()
    np.testing.assert_allclose(results['depth_map'][inside] - 1, results['img'][..., 0][inside], atol=4)
    assert np.abs(results['depth_map'][inside] - 1 - results['img'][..., 0][inside]).mean() < 0.5
    assert not results['img'][~inside].any()


def test_the_draws_are_scale_then_x_then_y(make_sample, monkeypatch):
    draws = iter([0.8, 0.6, -0.4])
    monkeypatch.setattr(np.random, 'randn', lambda: next(draws))
    results = _crop(make_sample(), scale=0.4, shift=0.1)
    assert results['crop_scale'] == pytest.approx(1.32)
    # The window's middle moves by .06 of the width and -.04 of the height.
    middle = affine_points(np.array([[200 + 24.0, 60 - 4.8]]), results['trans_mat'])
    np.testing.assert_allclose(middle, [[160, 48]], atol=1e-9)


@pytest.mark.parametrize(('draw', 'scale', 'shift'), [(9.0, 1.4, 80.0), (-9.0, 0.6, -80.0)])
def test_draws_are_clipped(make_sample, monkeypatch, draw, scale, shift):
    monkeypatch.setattr(np.random, 'randn', lambda: draw)
    results = _crop(make_sample(), scale=0.4, shift=0.1)
    assert results['crop_scale'] == pytest.approx(scale)
    np.testing.assert_allclose(affine_points(np.array([[200 + shift, 60.0]]), results['trans_mat'])[0, 0], 160)


def test_without_a_crop_it_is_a_plain_resize(make_sample):
    before = make_sample()
    after = _crop(copy.deepcopy(before), prob=0.0)
    assert (after['crop_scale'], after['random_crop'], after['img_shape']) == (1.0, False, (96, 320))
    np.testing.assert_allclose(after['gt_bboxes'], before['gt_bboxes'] * 0.8, rtol=1e-5)
    np.testing.assert_allclose(after['trans_mat'], [[0.8, 0, 0], [0, 0.8, 0], [0, 0, 1]], atol=1e-12)


def test_boxes_are_not_clipped_and_depths_not_scaled(make_sample, monkeypatch):
    monkeypatch.setattr(np.random, 'randn', lambda: -9.0)
    before = make_sample()
    before['gt_bboxes'][0] = [0, 0, 400, 120]
    after = _crop(copy.deepcopy(before), shift=0.0)
    assert after['gt_bboxes'][0, 0] < 0
    assert after['gt_bboxes'][0, 2] > 320
    np.testing.assert_array_equal(after['gt_depths'], before['gt_depths'])
    assert after['depth_map'].max() <= before['depth_map'].max() + 1e-3


def test_the_transformation_matrix_maps_flipped_pixels_to_input_pixels(make_sample):
    results = MonoRandomFlip(prob=1.0)(make_sample())
    before = results['gt_centers_2d'].copy()
    results = _crop(results)
    np.testing.assert_allclose(affine_points(before, results['trans_mat']), results['gt_centers_2d'], atol=1e-3)


def test_a_picture_without_objects_can_be_cropped(make_sample):
    results = _crop(make_sample(count=0))
    assert results['gt_bboxes'].shape == (0, 4)
    assert results['gt_centers_2d'].shape == (0, 2)


def test_a_second_crop_is_refused(make_sample):
    with pytest.raises(ConfigError, match='only once'):
        _crop(_crop(make_sample()))


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(size=(1280,)), r'size must be \(width, height\)'),
        (dict(size=(1280, 0)), r'size must be \(width, height\)'),
        (dict(size=SIZE, prob=2), 'prob=2'),
        (dict(size=SIZE, scale=1.0), 'scale=1.0'),
        (dict(size=SIZE, shift=-0.1), 'shift=-0.1'),
    ],
)
def test_impossible_settings_are_refused(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        MonoRandomCropAffine(**kwargs)

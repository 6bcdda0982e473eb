from __future__ import annotations

import numpy as np
import pytest
from kitti_frames import random_picture
from PIL import Image

from mono_distill.datasets.transforms.geometry import crop_affine
from mono_distill.datasets.transforms.warp import warp_depth_map, warp_image

SIZE = (320, 96)
MAPS = {
    'resize': crop_affine((310, 94), SIZE),
    'enlarge': crop_affine((310, 94), SIZE, 0.6, (20.3, -7.0)),
    'shrink': crop_affine((310, 94), SIZE, 1.4, (-31.0, 12.6)),
}


def _pillow(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(matrix)[:2].ravel().tolist()
    return np.asarray(
        Image.fromarray(picture).transform(SIZE, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR)
    )


@pytest.mark.parametrize('name', MAPS)
def test_pictures_are_resampled_as_pillow_does(name):
    picture = random_picture(94, 310)
    ours, theirs = warp_image(picture, MAPS[name], SIZE), _pillow(picture, MAPS[name])
    assert ours.shape == (96, 320, 3)
    # OpenCV weighs in steps of 1/32 px, Pillow cuts off fractions of a grey level.
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.mean() < 0.7
    assert difference.max() <= 4
    np.testing.assert_array_equal((ours == 0).all(axis=2), (theirs == 0).all(axis=2))


@pytest.mark.parametrize('name', MAPS)
def test_complete_depth_maps_are_resampled_bilinearly(name):
    rows, columns = np.mgrid[:94, :310].astype(np.float32)
    plane = 5 + 0.1 * columns + 0.2 * rows
    warped = warp_depth_map(plane, MAPS[name], SIZE)
    inverse = np.linalg.inv(MAPS[name])
    v, u = np.mgrid[:96, :320] + 0.5
    u, v = inverse[0, 0] * u + inverse[0, 2] - 0.5, inverse[1, 1] * v + inverse[1, 2] - 0.5
    inner = (u >= 0) & (u <= 309) & (v >= 0) & (v <= 93)
    np.testing.assert_allclose(warped[inner], (5 + 0.1 * u + 0.2 * v)[inner], atol=0.3 / 32)
    outside = (u < -0.5) | (u >= 309.5) | (v < -0.5) | (v >= 93.5)
    assert (warped[outside] == 0).all()
    assert (warped[~outside] > 0).all()


@pytest.mark.parametrize('name', MAPS)
def test_no_depth_is_invented_beside_missing_pixels(name):
    rng = np.random.RandomState(0)
    sparse = np.where(rng.rand(94, 310) < 0.3, np.float32(20), np.float32(0))
    warped = warp_depth_map(sparse, MAPS[name], SIZE)
    np.testing.assert_allclose(warped[warped > 0], 20, rtol=1e-6)
    assert 0.2 < (warped > 0).mean() < 0.4 or name == 'shrink'


def test_a_lone_measurement_moves_to_the_pixels_that_fall_into_it():
    depth = np.zeros((94, 310), np.float32)
    depth[40, 100] = 33.0
    matrix = crop_affine((310, 94), (620, 188))
    rows, columns = np.nonzero(warp_depth_map(depth, matrix, (620, 188)))
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(80, 200), (80, 201), (81, 200), (81, 201)}


def test_an_all_missing_depth_map_stays_missing():
    assert not warp_depth_map(np.zeros((94, 310), np.float32), MAPS['enlarge'], SIZE).any()


def test_the_identity_changes_nothing():
    depth = np.random.RandomState(0).uniform(0, 3, (30, 40)).round().astype(np.float32)
    np.testing.assert_array_equal(warp_depth_map(depth, np.eye(3), (40, 30)), depth)
    picture = (depth * 80).astype(np.uint8)
    np.testing.assert_array_equal(warp_image(picture, np.eye(3), (40, 30)), picture)


def test_a_window_beside_the_picture_is_black():
    matrix = crop_affine((310, 94), SIZE, 1.0, (1000.0, 0.0))
    assert not warp_image(np.full((94, 310, 3), 255, np.uint8), matrix, SIZE).any()
    assert not warp_depth_map(np.ones((94, 310), np.float32), matrix, SIZE).any()

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmdet3d.structures import LiDARPoints

from mono_distill.datasets.kitti.projection import project_cam_to_img, transform_points
from mono_distill.datasets.transforms import MonoRandomFlip
from mono_distill.utils.errors import ConfigError


def _flip(results):
    return MonoRandomFlip(prob=1.0)(results)


@pytest.mark.parametrize('seed', range(5))
def test_projected_boxes_are_where_the_flipped_centres_are(make_sample, seed):
    flipped = _flip(make_sample(seed))
    centres, depths = project_cam_to_img(flipped['gt_bboxes_3d'].gravity_center.numpy(), flipped['cam2img'])
    np.testing.assert_allclose(flipped['gt_centers_2d'], centres, atol=1e-3)
    np.testing.assert_allclose(flipped['gt_depths'], depths, rtol=1e-6)


def test_a_flip_mirrors_pictures_boxes_and_angles(make_sample):
    before = make_sample()
    after = _flip(copy.deepcopy(before))
    assert after['flip'] is True
    np.testing.assert_array_equal(after['img'], before['img'][:, ::-1])
    np.testing.assert_array_equal(after['depth_map'], before['depth_map'][:, ::-1])
    np.testing.assert_allclose(after['gt_bboxes'][:, 0], 400 - before['gt_bboxes'][:, 2])
    np.testing.assert_allclose(after['gt_bboxes'][:, 2], 400 - before['gt_bboxes'][:, 0])
    np.testing.assert_array_equal(after['gt_bboxes'][:, 1::2], before['gt_bboxes'][:, 1::2])
    for key, angle in (('alpha', after['gt_alpha']), ('yaw', after['gt_bboxes_3d'].yaw.numpy())):
        old = before['gt_alpha'] if key == 'alpha' else before['gt_bboxes_3d'].yaw.numpy()
        np.testing.assert_allclose(np.cos(angle), -np.cos(old), atol=1e-6)
        np.testing.assert_allclose(np.sin(angle), np.sin(old), atol=1e-6)
        assert (np.abs(angle) <= np.pi + 1e-6).all()


def test_flipping_twice_is_the_identity(make_sample):
    before = make_sample(1)
    before['points'] = np.random.RandomState(0).uniform(-30, 30, (20, 4)).astype(np.float32)
    after = _flip(_flip(copy.deepcopy(before)))
    for key in ('img', 'depth_map'):
        np.testing.assert_array_equal(after[key], before[key])
    for key in ('gt_bboxes', 'gt_centers_2d', 'gt_alpha', 'gt_depths', 'cam2img', 'points'):
        np.testing.assert_allclose(after[key], before[key], atol=1e-4, err_msg=key)
    torch.testing.assert_close(after['gt_bboxes_3d'].tensor, before['gt_bboxes_3d'].tensor)


@pytest.mark.parametrize('kind', [np.asarray, lambda values: LiDARPoints(torch.from_numpy(values), points_dim=4)])
def test_points_stay_aligned_with_the_flipped_camera(make_sample, kind):
    results = make_sample()
    cloud = np.random.RandomState(1).uniform([3, -8, -1, 0], [40, 8, 1, 1], (30, 4)).astype(np.float32)
    expected = transform_points(cloud[:, :3], results['lidar2cam']) * [-1, 1, 1]
    results['points'] = kind(cloud.copy())
    points = _flip(results)['points']
    values = points.tensor.numpy() if hasattr(points, 'tensor') else points
    np.testing.assert_allclose(transform_points(values[:, :3], results['lidar2cam']), expected, atol=1e-5)
    np.testing.assert_array_equal(values[:, 3], cloud[:, 3])


def test_the_original_camera_is_kept(make_sample):
    results = make_sample()
    before = results['ori_cam2img'].copy()
    np.testing.assert_array_equal(_flip(results)['ori_cam2img'], before)


def test_without_a_flip_nothing_changes(make_sample):
    before = make_sample()
    after = MonoRandomFlip(prob=0.0)(copy.deepcopy(before))
    assert after['flip'] is False
    np.testing.assert_array_equal(after['img'], before['img'])
    np.testing.assert_array_equal(after['cam2img'], before['cam2img'])


def test_a_bare_picture_can_be_flipped():
    assert _flip(dict(img=np.arange(12, dtype=np.uint8).reshape(2, 2, 3)))['img'][0, 0].tolist() == [3, 4, 5]


def test_a_flip_after_the_crop_is_refused(make_sample):
    with pytest.raises(ConfigError, match='must come before MonoRandomCropAffine'):
        _flip(dict(make_sample(), trans_mat=np.eye(3)))


def test_a_probability_above_one_is_refused():
    with pytest.raises(ConfigError, match=r'prob must lie in \[0, 1\], got 1.5'):
        MonoRandomFlip(prob=1.5)

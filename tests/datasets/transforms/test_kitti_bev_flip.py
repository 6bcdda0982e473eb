"""A flipped sample shows the mirrored world through the mirrored camera, exactly."""

import numpy as np
import pytest
import torch
from kitti_bev_samples import CAM2IMG, SHAPE, bev_results, pixels_of

from mono_distill.datasets import KittiBEVRandomFlip
from mono_distill.datasets.kitti.depth_maps import project_lidar_to_depth
from mono_distill.datasets.transforms.kitti_bev_depth import KittiBEVDepth
from mono_distill.utils.errors import ConfigError

LAST_COLUMN = SHAPE[1] - 1


def flipped(**changes):
    return KittiBEVRandomFlip(prob=1.0)(bev_results(**changes))


def test_corners_of_boxes_move_to_the_mirrored_pixel():
    before, after = bev_results(), flipped()
    assert CAM2IMG[0, 2] != LAST_COLUMN / 2
    for box in range(2):
        corners = before['gt_bboxes_3d'].corners[box].double().numpy()
        mirrored = after['gt_bboxes_3d'].corners[box].double().numpy()
        # Corners change their order: compare them as sets, sorted by row and column.
        expected = pixels_of(corners, before) * (-1, 1) + (LAST_COLUMN, 0)
        found = pixels_of(mirrored, after)
        np.testing.assert_allclose(_sorted(found), _sorted(expected), atol=1e-3)


def _sorted(pixels):
    return pixels[np.lexsort(pixels.round(1).T)]


def test_every_point_moves_to_the_mirrored_pixel_at_the_same_depth():
    before, after = bev_results(), flipped()
    points = before['points'].tensor[:, :3].double().numpy()
    mirrored = after['points'].tensor[:, :3].double().numpy()
    expected = pixels_of(points, before) * (-1, 1) + (LAST_COLUMN, 0)
    np.testing.assert_allclose(pixels_of(mirrored, after), expected, atol=1e-9)


def test_the_depth_map_of_the_flipped_points_is_the_flipped_depth_map():
    before, after = bev_results(), flipped()
    maps = [
        project_lidar_to_depth(s['points'].tensor[:, :3].double().numpy(), s['lidar2cam'], s['cam2img'], shape=SHAPE)
        for s in (before, after)
    ]
    assert (maps[0] > 0).sum() > 500
    np.testing.assert_allclose(maps[1], maps[0][:, ::-1], atol=1e-5)


def test_picture_and_loaded_depth_map_are_mirrored():
    depth = np.arange(SHAPE[0] * SHAPE[1], dtype=np.float32).reshape(SHAPE)
    before, after = bev_results(), flipped(depth_map=depth)
    np.testing.assert_array_equal(after['img'], before['img'][:, ::-1])
    np.testing.assert_array_equal(after['depth_map'], depth[:, ::-1])


def test_the_new_extrinsics_are_a_rigid_motion():
    matrix = flipped()['lidar2cam']
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)


def test_boxes_turn_and_keep_their_sizes():
    before, after = bev_results()['gt_bboxes_3d'].tensor, flipped()['gt_bboxes_3d'].tensor
    signs = torch.tensor([1.0, -1, 1, 1, 1, 1, -1])
    torch.testing.assert_close(after, before * signs)


def test_two_flips_are_none():
    before, twice = bev_results(), KittiBEVRandomFlip(prob=1.0)(flipped())
    for key in ('cam2img', 'lidar2cam', 'img'):
        np.testing.assert_allclose(twice[key], before[key], atol=1e-12)
    torch.testing.assert_close(twice['points'].tensor, before['points'].tensor)


def test_points_alone_are_flipped_by_the_size_in_the_infos():
    sample = bev_results()
    del sample['img']
    assert KittiBEVRandomFlip(prob=1.0)(sample)['cam2img'][0, 2] == LAST_COLUMN - CAM2IMG[0, 2]


def test_probability_0_changes_nothing():
    sample = KittiBEVRandomFlip(prob=0.0)(bev_results())
    assert sample['flip'] is False
    np.testing.assert_array_equal(sample['cam2img'], CAM2IMG)


def test_errors():
    with pytest.raises(ConfigError, match='prob'):
        KittiBEVRandomFlip(prob=1.5)
    with pytest.raises(ConfigError, match='before KittiBEVDepth'):
        KittiBEVRandomFlip()(KittiBEVDepth()(bev_results()))

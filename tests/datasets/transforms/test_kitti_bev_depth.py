"""LiDAR depth in cells of 8 x 8 pixels."""

import numpy as np
import pytest
from kitti_bev_samples import CAM2IMG, SHAPE, bev_results, lidar2cam

from mono_distill.datasets import KittiBEVDepth
from mono_distill.datasets.kitti.projection import project_cam_to_img, transform_points
from mono_distill.datasets.transforms.kitti_bev_depth import depth_cells
from mono_distill.utils.errors import ConfigError, DataError


def brute_force(depth, downsample, reduce):
    rows, columns = -(-depth.shape[0] // downsample), -(-depth.shape[1] // downsample)
    cells = np.zeros((rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            block = depth[row * downsample :, column * downsample :][:downsample, :downsample]
            known = block[block > 0]
            if known.size:
                cells[row, column] = known.min() if reduce == 'min' else known.mean()
    return cells


@pytest.mark.parametrize('reduce', ['min', 'mean'])
def test_cells_are_the_nearest_or_the_mean_of_what_was_measured(reduce):
    rng = np.random.default_rng(0)
    depth = rng.uniform(2, 40, (37, 45)) * (rng.random((37, 45)) < 0.05)
    np.testing.assert_allclose(depth_cells(depth, 8, reduce), brute_force(depth, 8, reduce), rtol=1e-6)


def test_kitti_pictures_have_47_by_156_cells():
    assert depth_cells(np.zeros((375, 1242)), 8).shape == (47, 156)


def test_points_land_in_the_cell_of_their_pixel():
    sample = KittiBEVDepth(8)(bev_results())
    assert sample['gt_depth'].shape == (6, 20)
    points = bev_results()['points'].tensor[:, :3].double().numpy()
    pixels, depths = project_cam_to_img(transform_points(points, lidar2cam()), CAM2IMG)
    expected = np.full((6, 20), np.inf)
    for (u, v), depth in zip(np.floor(pixels + 0.5), depths, strict=True):
        if 0 <= u < SHAPE[1] and 0 <= v < SHAPE[0]:
            cell = int(v) // 8, int(u) // 8
            expected[cell] = min(expected[cell], depth)
    np.testing.assert_allclose(sample['gt_depth'], np.where(np.isinf(expected), 0, expected), rtol=1e-6)


def test_a_loaded_depth_map_is_taken_if_wanted():
    depth = np.full(SHAPE, 7.0, np.float32)
    sample = KittiBEVDepth(8, source='depth_map', reduce='mean')(bev_results(depth_map=depth))
    assert sample['gt_depth'].tolist() == [[7.0] * 20] * 6


def test_what_is_not_loaded_is_named_with_the_frame():
    sample = bev_results(seed=12)
    del sample['points']
    with pytest.raises(DataError, match='frame 000012 has no points; put LoadKittiBEVPoints'):
        KittiBEVDepth()(sample)
    with pytest.raises(DataError, match='frame 000012 has no depth_map; put LoadDepthMap'):
        KittiBEVDepth(source='depth_map')(sample)


def test_unknown_options():
    for options in (dict(reduce='max'), dict(source='stereo'), dict(downsample=0)):
        with pytest.raises(ConfigError, match='KittiBEVDepth'):
            KittiBEVDepth(**options)

from __future__ import annotations

import numpy as np
import pytest
import torch
from multi_view_samples import cloud, sample

from mono_distill.datasets.transforms import BEVGlobalAug, LidarDepthTargets, MultiViewImageAug
from mono_distill.models.view_transformers.frustum import cell_pixels
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, ShapeError


def by_loops(results, downsample, depth_range):
    """The definition, point by point and camera by camera, without matrices."""
    height, width = results['img'][0][0].shape[:2]
    out = np.full((len(results['lidar2cam']), height // downsample, width // downsample), np.inf)
    for camera, to_camera in enumerate(results['lidar2cam']):
        k, aug = results['cam2img'][0][camera], results['img_aug_matrix'][0][camera]
        rows, columns = results['img_ori_shape'][camera]
        for x, y, z, _, dt in results['points'].tensor.double().tolist():
            if dt != 0:
                continue
            right, down, ahead = (row[0] * x + row[1] * y + row[2] * z + row[3] for row in to_camera[:3])
            if ahead <= 0:
                continue
            u, v = k[0, 0] * right / ahead + k[0, 2], k[1, 1] * down / ahead + k[1, 2]
            if not (-0.5 <= u < columns - 0.5 and -0.5 <= v < rows - 0.5):
                continue
            u, v = aug[0, 0] * u + aug[0, 1] * v + aug[0, 3], aug[1, 0] * u + aug[1, 1] * v + aug[1, 3]
            if not (-0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5):
                continue
            i, j = int((v + 0.5) // downsample), int((u + 0.5) // downsample)
            out[camera, i, j] = min(out[camera, i, j], ahead)
    return np.where((out >= depth_range[0]) & (out < depth_range[1]), out, 0)


@pytest.mark.parametrize('cameras', [6, 5])
@pytest.mark.parametrize('training', [False, True])
def test_it_is_the_nearest_point_of_every_cell(cameras, training):
    results = sample(frames=2, cameras=cameras, points=3000)
    results = MultiViewImageAug((64, 128), (0.7, 1.3), rotate=(-9, 9), flip=True, training=training)(results)
    depth = LidarDepthTargets(8, (2.0, 40.0))(results)['gt_depth']
    expected = by_loops(results, 8, (2.0, 40.0))
    assert depth.dtype == np.float32
    assert depth.shape == (cameras, 8, 16)
    np.testing.assert_allclose(depth, expected, rtol=1e-6)
    assert (depth > 0).mean() > 0.2


def test_a_single_point_ahead_is_in_the_cell_the_front_camera_sees_it_in():
    results = sample(size=(256, 704))
    results['points'] = cloud(1)
    results['points'].tensor[0] = torch.tensor([2.0, 20.5, 0.3, 0.0, 0.0])
    results['lidar2cam'][:] = [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, -0.5], [0, 0, 0, 1]]
    results['lidar2cam'][1:, :3] *= -1  # the others look behind
    depth = LidarDepthTargets(16)(results)['gt_depth']
    # u = 1266 * 0.44 * 2 / 20 + 816 * 0.44 = 414.7, v = -1266 * 0.44 * 0.3 / 20 + 491 * 0.44 = 207.7: pixel (415, 208)
    assert np.argwhere(depth).tolist() == [[0, 208 // 16, 415 // 16]]
    assert depth[0, 13, 25] == 20.0


@pytest.mark.parametrize('training', [False, True])
def test_a_depth_is_in_the_cell_whose_middle_the_frustum_lifts_nearest_to_its_point(training):
    """Depth targets and frusta count pixels alike: no point lies more than half a cell from its cell's middle."""
    results = sample(cameras=6, points=4000)
    results = MultiViewImageAug((64, 128), (0.9, 1.3), rotate=(-9, 9), flip=True, training=training)(results)
    depth = LidarDepthTargets(16, (2.0, 58.0))(results)['gt_depth']
    middles = cell_pixels((4, 8), 16).double().numpy()
    offsets = []
    for camera, row, column in np.argwhere(depth):
        points = results['points'].tensor.double().numpy()
        seen = results['lidar2cam'][camera] @ np.append(points[:, :3], np.ones((len(points), 1)), 1).T
        point = seen[:3, np.abs(seen[2] - depth[camera, row, column]).argmin()]
        pixel = results['cam2img'][0, camera][:3, :3] @ (point / point[2])
        aug = results['img_aug_matrix'][0, camera]
        offsets.append(aug[:2, :2] @ pixel[:2] + aug[:2, 3] - middles[row, column])
    assert len(offsets) > 50
    assert np.abs(offsets).max() <= 8 + 1e-6


def test_points_of_other_sweeps_do_not_count():
    results = sample(points=3000)
    results['points'].tensor[:, 4] = 0.1
    assert not LidarDepthTargets(10)(results)['gt_depth'].any()


def test_without_a_time_column_all_points_count():
    results = sample(points=3000)
    results['points'].tensor[:, 4] = 0
    with_column = LidarDepthTargets(10)(dict(results))['gt_depth']
    results['points'].tensor = results['points'].tensor[:, :4]
    np.testing.assert_array_equal(LidarDepthTargets(10)(results)['gt_depth'], with_column)


def test_a_cloud_without_points_gives_no_depth():
    assert not LidarDepthTargets(10)(sample(points=0))['gt_depth'].any()


def test_a_cell_whose_nearest_point_is_too_near_has_no_depth():
    results = sample(size=(64, 128))
    results['points'] = cloud(2)
    results['points'].tensor[:] = torch.tensor([[0.0, 2.0, 0, 0, 0], [0.0, 20.0, 0, 0, 0]])
    results['lidar2cam'][:] = [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert LidarDepthTargets(16, (1.0, 58.0))(dict(results))['gt_depth'][0].max() == 2
    assert LidarDepthTargets(16, (3.0, 58.0))(dict(results))['gt_depth'][0].max() == 0


def test_the_black_border_has_no_depth():
    results = sample(points=6000)
    results = MultiViewImageAug((96, 160), (0.5, 0.5), training=True)(results)
    depth = LidarDepthTargets(16)(results)['gt_depth']
    assert depth[:, 3:, :5].any()
    assert not depth[:, :3].any()
    assert not depth[:, :, 6:].any()


def test_after_the_augmentation_of_the_world_it_is_refused():
    with pytest.raises(ConfigError, match='must come before BEVGlobalAug'):
        LidarDepthTargets(10)(BEVGlobalAug()(sample()))


@pytest.mark.parametrize('key', ['points', 'img', 'lidar2cam', 'cam2img', 'img_aug_matrix'])
def test_a_missing_key_is_named(key):
    results = sample()
    del results[key]
    with pytest.raises(ConfigError, match=f'LidarDepthTargets found no {key}; put mono_distill.Load'):
        LidarDepthTargets(10)(results)


def test_pictures_that_do_not_divide_are_refused():
    with pytest.raises(ShapeError, match='90 x 160 do not divide into cells of 16'):
        LidarDepthTargets(16)(sample())


def test_cameras_of_different_size_are_refused():
    results = sample()
    results['img'][0][2] = results['img'][0][2][:80]
    with pytest.raises(ShapeError, match='cameras differ in size.*MultiViewImageAug'):
        LidarDepthTargets(10)(results)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(downsample=0), 'downsample must be a positive integer'),
        (dict(downsample=2.5), 'downsample must be a positive integer'),
        (dict(depth_range=(58.0, 2.0)), 'depth_range must be finite with lower <= upper'),
        (dict(depth_range=(2.0, 2.0)), r'depth_range must be \(near, far\)'),
        (dict(depth_range=(-1.0, 2.0)), r'depth_range must be \(near, far\)'),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(ConfigError, match=f'LidarDepthTargets: {message}'):
        LidarDepthTargets(**options)


def test_configs_name_it():
    transform = TRANSFORMS.build(dict(type='mono_distill.LidarDepthTargets', depth_range=[2, 58]))
    assert repr(transform) == 'LidarDepthTargets(downsample=16, depth_range=(2.0, 58.0))'

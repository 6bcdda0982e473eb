from __future__ import annotations

import numpy as np
import pytest

from mono_distill.datasets.kitti.calibration import read_calib
from mono_distill.datasets.kitti.depth_completion import DepthCompletion, complete_depth, completion_for
from mono_distill.datasets.kitti.depth_maps import project_lidar_to_depth
from mono_distill.datasets.kitti.velodyne import read_velodyne
from mono_distill.utils.errors import ConfigError, ShapeError


def scan_lines(depth: np.ndarray, *, lines: int = 4, columns: int = 2) -> np.ndarray:
    """Keep what a spinning LiDAR would see: every fourth row, every second column."""
    sparse = np.zeros_like(depth)
    sparse[::lines, ::columns] = depth[::lines, ::columns]
    return sparse


def ground_plane(height: int = 120, width: int = 200) -> np.ndarray:
    """Depth of flat ground 1.65 m below a camera whose horizon is above the picture."""
    rows = np.arange(height)[:, None] + 40.0
    return np.broadcast_to(1.65 * 720 / rows, (height, width)).astype(np.float32)


def test_fronto_parallel_plane_is_completed_exactly():
    dense = complete_depth(scan_lines(np.full((60, 80), 17.0, np.float32)))
    np.testing.assert_allclose(dense, 17.0, atol=1e-4)


def test_ground_plane_is_completed_within_the_spacing_of_the_scan_lines():
    truth = ground_plane()
    dense = complete_depth(scan_lines(truth))
    assert (dense > 0).all()
    # Four rows apart, neighbouring lines differ by 4 / (row + 40): at most a tenth of the depth, and near wins.
    error = np.abs(dense - truth) / truth
    assert error.mean() < 0.03
    assert error.max() < 0.12


def test_near_object_keeps_its_outline_before_a_far_wall():
    truth = np.full((120, 200), 40.0, np.float32)
    truth[40:90, 60:120] = 10.0
    dense = complete_depth(scan_lines(truth))
    np.testing.assert_allclose(dense[44:86, 64:116], 10.0, atol=0.05)
    outside = np.ones_like(truth, dtype=bool)
    # Near returns grow by the half width of their diamond (3) and of the closing.
    outside[34:96, 54:126] = False
    np.testing.assert_allclose(dense[outside], 40.0, atol=0.05)
    # At the rim the near surface wins over the far one, so that objects are never thinner than they are.
    np.testing.assert_allclose(dense[40:89, 58:121], 10.0, atol=0.5)


def test_far_returns_between_near_scan_lines_are_overruled():
    truth = np.full((60, 80), 6.0, np.float32)
    sparse = scan_lines(truth)
    # What the LiDAR, mounted higher than the camera, sees over the roof of the near object.
    sparse[22, 30:50] = 55.0
    assert complete_depth(sparse).max() < 7.0


def test_pixels_above_the_highest_return_stay_empty_unless_asked_for():
    sparse = scan_lines(ground_plane())
    sparse[:60] = 0
    assert not complete_depth(sparse)[:50].any()
    extended = complete_depth(sparse, DepthCompletion(extend_to_top=True))
    assert (extended > 0).all()
    np.testing.assert_allclose(extended[0], extended[56], rtol=0.05)


def test_hole_of_a_dark_car_is_filled_from_its_rim():
    sparse = scan_lines(np.full((100, 160), 5.0, np.float32))
    sparse[30:70, 40:120] = 0
    np.testing.assert_allclose(complete_depth(sparse), 5.0, atol=1e-3)


def test_empty_map_stays_empty():
    dense = complete_depth(np.zeros((30, 40), np.float32))
    assert dense.shape == (30, 40)
    assert not dense.any()


def test_a_small_image_keeps_a_far_car_apart_from_the_near_wall_beside_it():
    # A car at 40 m is five pixels high and eight wide where KITTI's image is shown at a quarter of its size.
    truth = np.full((94, 310), 60.0, np.float32)
    truth[40:60, :100] = 8.0
    truth[44:49, 100:108] = 40.0
    sparse = np.where(np.random.default_rng(0).random(truth.shape) < 0.75, truth, 0).astype(np.float32)
    for_small, for_full = (
        np.mean(np.abs(complete_depth(sparse, params)[44:49, 100:108] - 40) < 1)
        for params in (completion_for(truth.shape), completion_for((375, 1242)))
    )
    # The wall grows by one pixel of eight; kernels for the full image let it grow by three and more.
    assert for_small > 0.8
    assert for_full < 0.65


def test_input_is_not_changed():
    sparse = scan_lines(ground_plane())
    before = sparse.copy()
    complete_depth(sparse)
    np.testing.assert_array_equal(sparse, before)


def test_wrong_shape_is_refused():
    with pytest.raises(ShapeError, match=r'must be \(H, W\)'):
        complete_depth(np.zeros((2, 3, 4), np.float32))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'close_kernel': 4}, 'odd and positive'),
        ({'range_kernels': (7, 5, 0)}, 'odd and positive'),
        ({'median_kernel': 7}, 'median_kernel must be 1, 3 or 5'),
        ({'range_limits': (30.0, 15.0)}, 'range_limits must ascend'),
    ],
)
def test_impossible_parameters_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        DepthCompletion(**changes)


@pytest.mark.real
@pytest.mark.parametrize('name', ['000000', '000007', '000114', '002155'])
def test_real_maps_keep_measurements_and_predict_withheld_ones(kitti_real, name):
    calib = read_calib(kitti_real / f'training/calib/{name}.txt')
    points = read_velodyne(kitti_real / f'training/velodyne/{name}.bin')
    sparse = project_lidar_to_depth(points, calib.lidar2cam, calib.P2, shape=(370, 1224))
    measured = sparse > 0
    withheld = measured & (np.random.default_rng(0).random(sparse.shape) < 0.1)
    dense = complete_depth(np.where(withheld, 0, sparse))
    kept = measured & ~withheld
    assert np.median(np.abs(dense - sparse)[kept]) < 0.05
    assert (dense[kept] > 0).all()
    assert (dense[withheld] > 0).mean() > 0.99
    # Outliers are returns seen over near objects, which the nearer surface rightly overrules.
    relative = (np.abs(dense - sparse) / np.where(measured, sparse, 1))[withheld & (dense > 0)]
    assert np.median(relative) < 0.005
    assert relative.mean() < 0.04

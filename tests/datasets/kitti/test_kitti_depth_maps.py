from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kitti_files import CAM2IMG, SHAPE, VELO_TO_CAM, WALL_DEPTH, wall_scan

from mono_distill.datasets.kitti.boxes import points_in_boxes
from mono_distill.datasets.kitti.calibration import read_calib
from mono_distill.datasets.kitti.depth_maps import (
    MAX_DEPTH,
    project_lidar_to_depth,
    read_depth_png,
    write_depth_png,
)
from mono_distill.datasets.kitti.labels import read_label
from mono_distill.datasets.kitti.projection import transform_points
from mono_distill.datasets.kitti.velodyne import read_velodyne
from mono_distill.utils.errors import DataError, ShapeError


def project_one_by_one(points, lidar2cam, cam2img, shape):
    """Project with a loop over the points, written from the formulas alone."""
    depth_map = np.zeros(shape)
    for x, y, z in points[:, :3].astype(np.float64):
        cam = lidar2cam[:3] @ [x, y, z, 1]
        if cam[2] < 1e-3:
            continue
        u, v = (cam2img[:2] @ [*cam, 1]) / cam[2]
        column, row = int(np.floor(u + 0.5)), int(np.floor(v + 0.5))
        if 0 <= column < shape[1] and 0 <= row < shape[0]:
            known = depth_map[row, column]
            depth_map[row, column] = cam[2] if known == 0 else min(known, cam[2])
    return depth_map


def test_wall_has_its_depth_in_the_rectified_frame():
    depth = project_lidar_to_depth(wall_scan(), VELO_TO_CAM, CAM2IMG, shape=SHAPE)
    assert depth.dtype == np.float32
    assert (depth > 0).sum() > 500
    np.testing.assert_allclose(depth[depth > 0], WALL_DEPTH, atol=1e-5)


def test_nearest_return_of_a_pixel_wins_in_any_order():
    scan = np.concatenate([wall_scan(20.0), wall_scan(8.0), wall_scan(14.0)])
    depth = project_lidar_to_depth(scan, VELO_TO_CAM, CAM2IMG, shape=SHAPE)
    near = project_lidar_to_depth(wall_scan(8.0), VELO_TO_CAM, CAM2IMG, shape=SHAPE)
    np.testing.assert_array_equal(depth[near > 0], near[near > 0])
    np.testing.assert_array_equal(depth, project_lidar_to_depth(scan[::-1], VELO_TO_CAM, CAM2IMG, shape=SHAPE))


def test_projection_equals_a_loop_over_random_points():
    points = np.random.default_rng(1).uniform(-30, 30, (3000, 4)).astype(np.float32)
    depth = project_lidar_to_depth(points, VELO_TO_CAM, CAM2IMG, shape=SHAPE)
    assert (depth > 0).sum() > 50
    np.testing.assert_allclose(depth, project_one_by_one(points, VELO_TO_CAM, CAM2IMG, SHAPE), atol=1e-5)


def test_empty_scan_and_scan_behind_the_camera_give_empty_maps():
    for scan in (np.zeros((0, 4), np.float32), wall_scan(-9.0)):
        assert not project_lidar_to_depth(scan, VELO_TO_CAM, CAM2IMG, shape=SHAPE).any()


def test_scan_of_the_wrong_shape_is_refused():
    with pytest.raises(ShapeError, match=r'got \(5, 2\)'):
        project_lidar_to_depth(np.zeros((5, 2)), VELO_TO_CAM, CAM2IMG, shape=SHAPE)


@given(st.floats(1 / 256, MAX_DEPTH, width=32))
def test_depth_survives_the_file_within_half_a_step(tmp_path_factory, depth):
    path = tmp_path_factory.mktemp('depth') / 'a.png'
    write_depth_png(path, np.array([[depth, 0.0]], np.float32))
    again = read_depth_png(path)
    assert again.dtype == np.float32
    assert abs(again[0, 0] - depth) <= 1 / 512
    assert again[0, 1] == 0


def test_depth_beyond_the_format_becomes_missing_not_another_depth(tmp_path):
    write_depth_png(tmp_path / 'a.png', np.array([[255.99, 256.0, 300.0, 66000 / 256]]))
    assert read_depth_png(tmp_path / 'a.png').tolist() == [[255.98828125, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize('bad', [-1.0, np.nan, np.inf])
def test_impossible_depths_are_not_written(tmp_path, bad):
    with pytest.raises(DataError, match='negative depths or depths that are not finite'):
        write_depth_png(tmp_path / 'a.png', np.array([[1.0, bad]]))
    assert not list(tmp_path.iterdir())


def test_depth_map_needs_two_axes(tmp_path):
    with pytest.raises(ShapeError, match=r'must be \(H, W\)'):
        write_depth_png(tmp_path / 'a.png', np.ones((2, 2, 1)))


def test_reading_faults_are_named(tmp_path):
    with pytest.raises(DataError, match='mono-distill prepare kitti'):
        read_depth_png(tmp_path / 'nowhere.png')
    cv2.imwrite(str(tmp_path / 'eight.png'), np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match='must be a 16 bit one-channel PNG, got uint8'):
        read_depth_png(tmp_path / 'eight.png')
    (tmp_path / 'broken.png').write_bytes(b'no image')
    with pytest.raises(DataError, match='does not decode'):
        read_depth_png(tmp_path / 'broken.png')


@pytest.mark.real
@pytest.mark.parametrize('name', ['000000', '000010', '002155'])
def test_real_sparse_maps_equal_the_loop(kitti_real, name):
    calib = read_calib(kitti_real / f'training/calib/{name}.txt')
    points = read_velodyne(kitti_real / f'training/velodyne/{name}.bin')[::7]
    depth = project_lidar_to_depth(points, calib.lidar2cam, calib.P2, shape=(375, 1242))
    assert (depth > 0).sum() > 2000
    np.testing.assert_allclose(depth, project_one_by_one(points, calib.lidar2cam, calib.P2, (375, 1242)), atol=1e-4)


@pytest.mark.real
def test_real_depths_inside_labelled_boxes_fit_the_boxes(kitti_real):
    fits = []
    for path in sorted((kitti_real / 'training/label_2').iterdir()):
        calib = read_calib(kitti_real / f'training/calib/{path.name}')
        points = read_velodyne(kitti_real / f'training/velodyne/{path.stem}.bin')
        depth = project_lidar_to_depth(points, calib.lidar2cam, calib.P2, shape=(375, 1242))
        labels = read_label(path)
        visible = (labels.occluded == 0) & (labels.truncated == 0) & (labels.location[:, 2] < 30)
        for bbox, box in zip(labels.bbox[visible], labels.bboxes_3d[visible], strict=True):
            # The middle of the annotated 2D box shows the object, neither its surroundings nor the ground.
            left, top, right, bottom = bbox
            columns = slice(int(left + 0.3 * (right - left)), int(right - 0.3 * (right - left)))
            rows = slice(int(top + 0.3 * (bottom - top)), int(bottom - 0.3 * (bottom - top)))
            seen = depth[rows, columns]
            half = (abs(np.sin(box[6])) * box[3] + abs(np.cos(box[6])) * box[5]) / 2
            points_inside = points_in_boxes(transform_points(points[:, :3], calib.lidar2cam), box[None]).sum()
            fits.append(points_inside > 20 and abs(np.median(seen[seen > 0]) - box[2]) < half + 0.2)
    assert len(fits) >= 10
    # Some objects that are annotated as fully visible stand behind a pole or a lorry.
    assert np.mean(fits) > 0.8

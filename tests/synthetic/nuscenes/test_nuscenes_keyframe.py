from __future__ import annotations

import cv2
import numpy as np

from mono_distill.synthetic.lidar import LidarScan
from mono_distill.synthetic.nuscenes.keyframe import keyframe_scene, point_file, scene_duration, write_image


def test_points_are_five_little_endian_floats():
    cloud = LidarScan(
        np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        np.array([0.5, 1.0], np.float32),
        np.array([31, 0], np.int32),
        np.array([-1, 2], np.int32),
    )
    points = point_file(cloud)
    assert points.dtype == np.dtype('<f4')
    np.testing.assert_array_equal(points, [[1, 2, 3, 128, 31], [4, 5, 6, 255, 0]])


def test_a_scan_without_returns_is_an_empty_file():
    empty = LidarScan(*(np.zeros(shape) for shape in ((0, 3), 0, 0, 0)))
    assert point_file(empty).shape == (0, 5)


def test_images_are_written_in_the_format_of_their_name(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    for name in ('coarse.jpg', 'fine.jpg', 'exact.png'):
        write_image(tmp_path / name, image, quality=30 if name == 'coarse.jpg' else 95)
        assert cv2.imread(str(tmp_path / name)).shape == image.shape
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'exact.png')), image)
    assert (tmp_path / 'coarse.jpg').stat().st_size < (tmp_path / 'fine.jpg').stat().st_size


def test_a_scene_is_built_once_for_all_its_key_frames(options):
    duration = scene_duration(options)
    assert duration == 1.0
    assert keyframe_scene(4, 0, 0.5, duration) is keyframe_scene(4, 0, 0.5, duration)

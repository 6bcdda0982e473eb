from __future__ import annotations

import pickle

import numpy as np
import pytest
from kitti_files import CAM2IMG, CAR, DONT_CARE, SHAPE, calib_text

from mono_distill.datasets.kitti.calibration import read_calib
from mono_distill.datasets.kitti.infos import FrameAnnotation, build_info, info_file
from mono_distill.datasets.kitti.labels import read_label

DEPTH = {'dense': 'training/depth_dense/000123.png', 'sparse': 'training/depth_sparse/000123.png'}


@pytest.fixture
def calib(tmp_path):
    (tmp_path / 'calib.txt').write_text(calib_text())
    return read_calib(tmp_path / 'calib.txt')


@pytest.fixture
def build(tmp_path, calib):
    def build(text=f'{CAR}\n{DONT_CARE}\n', points=(7, -1), depth_map=DEPTH):
        annotation = None
        if text is not None:
            (tmp_path / 'label.txt').write_text(text)
            annotation = FrameAnnotation(
                read_label(tmp_path / 'label.txt'), None if points is None else np.array(points, dtype=np.int64)
            )
        return build_info('000123', SHAPE, calib, annotation=annotation, depth_map=depth_map)

    return build


def test_frame_names_its_files(build):
    info = build()
    assert info['sample_id'] == '000123'
    assert info['sample_idx'] == 123
    assert info['images']['CAM2']['img_path'] == '000123.png'
    assert info['lidar_points']['lidar_path'] == '000123.bin'
    assert info['lidar_points']['num_pts_feats'] == 4
    assert info['depth_map'] == DEPTH


def test_camera_has_the_matrices_of_the_calibration(build, calib):
    camera = build()['images']['CAM2']
    assert (camera['height'], camera['width']) == SHAPE
    np.testing.assert_array_equal(camera['cam2img'], calib.P2)
    np.testing.assert_array_equal(camera['lidar2cam'], calib.R0_rect @ calib.Tr_velo_to_cam)
    np.testing.assert_allclose(camera['lidar2img'], calib.P2 @ calib.lidar2cam)


def test_objects_keep_what_was_annotated(build):
    car, dont_care = build()['instances']
    assert car['bbox'] == [60.0, 10.0, 110.0, 45.0]
    assert car['bbox_3d'] == [0.5, 1.6, 10.0, 4.0, 1.5, 1.6, 0.35]
    assert (car['bbox_label'], car['bbox_label_3d']) == (2, 2)
    assert (car['alpha'], car['truncated'], car['occluded'], car['score']) == (0.3, 0.0, 1, 0.0)
    assert (car['difficulty'], car['num_lidar_pts'], car['index'], car['group_id']) == (1, 7, 0, 0)
    assert (dont_care['bbox_label'], dont_care['difficulty'], dont_care['index']) == (-1, -1, -1)


def test_stored_centre_follows_mmdet3d(build):
    car = build()['instances'][0]
    scaled = CAM2IMG @ [0.5, 1.6 - 0.75, 10.0, 1.0]
    assert car['depth'] == pytest.approx(10.0027)
    assert car['center_2d'] == pytest.approx((scaled[:2] / scaled[2]).tolist())


def test_camera_instances_are_those_of_mmdet3d(build):
    (car,) = build()['cam_instances']['CAM2']
    assert car['bbox_label'] == 2
    assert 0 <= car['bbox'][0] < car['bbox'][2] <= SHAPE[1]


def test_objects_without_extent_have_no_camera_instance(build):
    info = build(CAR.replace('1.50 1.60 4.00', '0.00 0.00 0.00'), points=[0])
    assert len(info['instances']) == 1
    assert info['cam_instances']['CAM2'] == []


def test_testing_frame_has_no_objects(build):
    info = build(None, depth_map=None)
    assert info['instances'] == []
    assert 'cam_instances' not in info
    assert 'depth_map' not in info


def test_frame_without_objects_and_frame_without_scan(build):
    assert build('', points=())['instances'] == []
    assert 'num_lidar_pts' not in build(points=None)['instances'][0]


def test_entries_hold_plain_python_values_only(build):
    kinds = set()

    def walk(value):
        kinds.add(type(value))
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(item)

    walk(build())
    assert kinds <= {dict, list, str, int, float, bool}


def test_pickled_bytes_depend_on_values_alone(build):
    here = [build(), build()]
    travelled = [pickle.loads(pickle.dumps(info)) for info in here]
    assert pickle.dumps(info_file(here)) == pickle.dumps(info_file(travelled))


def test_dont_care_is_a_category():
    assert info_file([])['metainfo']['categories']['DontCare'] == -1
    assert list(info_file([])['metainfo']['categories'].values()) == [0, 1, 2, 3, 4, 5, 6, 7, -1]

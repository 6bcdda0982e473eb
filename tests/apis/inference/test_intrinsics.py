"""Camera matrices from every accepted form, and an error for every impossible one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from kitti_files import CAM2IMG, calib_text

from mono_distill.apis.inference.intrinsics import as_cam2img, intrinsics_of, read_cam2img
from mono_distill.datasets.kitti.calibration import read_calib
from mono_distill.utils.errors import DataError, ShapeError

K = np.array([[700.0, 0, 600], [0, 710, 180], [0, 0, 1]])


def with_value(row, column, value):
    matrix = K.copy()
    matrix[row, column] = value
    return matrix


def test_a_3x3_matrix_is_extended_by_the_identity():
    expected = np.eye(4)
    expected[:3, :3] = K
    assert np.array_equal(as_cam2img(K), expected)


def test_the_fourth_column_of_a_3x4_matrix_is_kept():
    matrix = np.column_stack([K, [45.0, 0.2, 0.003]])
    assert np.array_equal(as_cam2img(matrix)[:3], matrix)
    assert as_cam2img(matrix)[3].tolist() == [0, 0, 0, 1]


def test_four_numbers_and_nested_lists_mean_the_same():
    assert np.array_equal(as_cam2img((700, 710, 600, 180)), as_cam2img(K.tolist()))


@pytest.mark.parametrize('shape', [(2, 3), (3,), (5,), (3, 5), (9,), (1, 3, 3), ()])
def test_another_shape_is_refused(shape):
    with pytest.raises(ShapeError, match=r'have shape \(.*expected a 3x3, 3x4 or 4x4'):
        as_cam2img(np.ones(shape))


@pytest.mark.parametrize('place', [(0, 0), (1, 1)])
@pytest.mark.parametrize('focal', [0.0, -700.0])
def test_a_focal_length_must_be_positive(place, focal):
    with pytest.raises(DataError, match='focal lengths must be positive'):
        as_cam2img(with_value(*place, focal))


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_values_must_be_finite(value):
    with pytest.raises(DataError, match='NaN or infinity'):
        as_cam2img(with_value(0, 2, value))


def test_a_transposed_matrix_is_refused():
    with pytest.raises(DataError, match='third row'):
        as_cam2img(K.T)


@pytest.mark.parametrize('place', [(0, 1), (1, 0)])
def test_skew_is_refused(place):
    with pytest.raises(DataError, match='skew'):
        as_cam2img(with_value(*place, 3.0))


def test_words_are_no_intrinsics():
    with pytest.raises(DataError, match='must be numbers'):
        as_cam2img([['a', 0, 0], [0, 1, 0], [0, 0, 1]])


def test_four_numbers_are_read_from_a_command_line():
    assert np.array_equal(read_cam2img('700, 710,600,180'), as_cam2img(K))


@pytest.mark.parametrize(
    ('text', 'error', 'message'),
    [
        ('700,710,600', ShapeError, '3 numbers'),
        ('700,710,600,x', DataError, 'no four numbers'),
        ('nowhere.json', DataError, 'no such file'),
        ('0,710,600,180', DataError, 'positive'),
        ('nan,710,600,180', DataError, 'NaN'),
    ],
)
def test_a_mistake_on_the_command_line_is_named(text, error, message):
    with pytest.raises(error, match=message):
        read_cam2img(text)


def test_a_json_file_holds_a_matrix(tmp_path):
    path = tmp_path / 'camera.json'
    path.write_text(json.dumps(K.tolist()))
    assert np.array_equal(read_cam2img(path), as_cam2img(K))


@pytest.mark.parametrize(
    ('content', 'error', 'message'),
    [
        ('[1, 2', DataError, 'cannot be read as JSON'),
        ('{"fx": 1}', DataError, 'must be numbers'),
        ('[[1, 2], [3, 4]]', ShapeError, r'shape \(2, 2\)'),
    ],
)
def test_a_faulty_json_file_is_named(tmp_path, content, error, message):
    path = tmp_path / 'camera.json'
    path.write_text(content)
    with pytest.raises(error, match=f'camera.json.*{message}'):
        read_cam2img(path)


def test_a_kitti_calibration_gives_p2_as_the_data_sets_read_it(tmp_path):
    path = tmp_path / '000000.txt'
    path.write_text(calib_text())
    assert np.array_equal(read_cam2img(path), read_calib(path).P2)


@pytest.mark.parametrize('name', ['P2', 'P_rect_02'])
def test_a_calibration_needs_no_line_but_the_cameras(tmp_path, name):
    path = tmp_path / 'calib.txt'
    path.write_text(f'{name}: ' + ' '.join(map(str, CAM2IMG.ravel())))
    assert np.array_equal(read_cam2img(path)[:3], CAM2IMG)


@pytest.mark.parametrize(
    ('content', 'error', 'message'),
    [
        ('P0: 1 2 3', DataError, 'no line that begins with P2'),
        ('P2: 1 2 3', ShapeError, '3 values, expected 12'),
        ('P2: ' + 'x ' * 12, DataError, 'not a number'),
        ('P2: ' + '0 ' * 12, DataError, 'positive'),
    ],
)
def test_a_faulty_calibration_is_named(tmp_path, content, error, message):
    path = tmp_path / 'calib.txt'
    path.write_text(content)
    with pytest.raises(error, match=f'calib.txt.*{message}'):
        read_cam2img(path)


def test_one_matrix_serves_all_images():
    assert [matrix[0, 0] for matrix in intrinsics_of(K, ['a', 'b', 'c'])] == [700] * 3


@pytest.mark.parametrize('several', [[K, 2 * K - np.diag([0, 0, 1])], np.stack([K, 2 * K - np.diag([0, 0, 1])])])
def test_each_image_may_have_its_own(several):
    assert [matrix[0, 0] for matrix in intrinsics_of(several, ['a', 'b'])] == [700, 1400]


@pytest.mark.parametrize('count', [2, 3, 4, 5])
def test_four_numbers_an_image_are_not_taken_for_one_matrix(count):
    cameras = [(700 + number, 710, 600, 180) for number in range(count)]
    found = intrinsics_of(cameras, [str(number) for number in range(count)])
    assert [matrix[0, 0] for matrix in found] == [700 + number for number in range(count)]


@pytest.mark.parametrize('rows', [3, 4])
def test_a_matrix_as_a_list_of_rows_serves_all_images(rows):
    matrix = np.eye(4)[:rows] * [[700], [710], [1], [1]][:rows]
    assert [found[1, 1] for found in intrinsics_of(matrix.tolist(), ['a', 'b'])] == [710, 710]


@pytest.mark.parametrize('third', [[0, 0, 2, 0], [1, 0, 0, 0], [0, 1, 0, 0]])
def test_a_list_of_rows_with_a_wrong_third_one_is_no_list_of_cameras(third):
    with pytest.raises(DataError, match='third row of the camera matrix must be 0 0 1'):
        intrinsics_of([[700, 0, 600, 45], [0, 710, 180, 0.2], third], ['a', 'b', 'c'])


def test_the_number_of_matrices_must_be_that_of_the_images():
    with pytest.raises(ShapeError, match='2 entries for 3 images'):
        intrinsics_of([K, K], ['a', 'b', 'c'])


def test_the_image_of_a_faulty_matrix_is_named():
    with pytest.raises(DataError, match='cam2img of b'):
        intrinsics_of([K, with_value(0, 0, 0)], ['a', 'b'])


def test_a_folder_holds_a_file_for_every_image(tmp_path):
    (tmp_path / 'a.txt').write_text(calib_text())
    (tmp_path / 'b.json').write_text(json.dumps(K.tolist()))
    assert [matrix[0, 0] for matrix in intrinsics_of(tmp_path, ['a', 'b'])] == [100, 700]


def test_an_image_without_its_file_is_named(tmp_path):
    (tmp_path / 'a.txt').write_text(calib_text())
    with pytest.raises(DataError, match='no intrinsics for image b: neither b.txt nor b.json'):
        intrinsics_of(str(tmp_path), ['a', 'b'])

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kitti_files import CAR, DONT_CARE

from mono_distill.datasets.kitti.labels import kitti_difficulty, read_label, write_label
from mono_distill.utils.errors import DataError, ShapeError


@pytest.fixture
def write(tmp_path):
    def write(*lines):
        path = tmp_path / '000000.txt'
        path.write_text(''.join(f'{line}\n' for line in lines))
        return path

    return write


def test_columns_keep_their_meaning(write):
    labels = read_label(write(CAR, DONT_CARE))
    assert len(labels) == 2
    assert labels.name.tolist() == ['Car', 'DontCare']
    assert labels.labels.tolist() == [2, -1]
    assert labels.truncated.tolist() == [0.0, -1.0]
    assert labels.occluded.tolist() == [1, -1]
    assert labels.alpha.tolist() == [0.3, -10.0]
    assert labels.bbox[0].tolist() == [60.0, 10.0, 110.0, 45.0]
    assert labels.dimensions[0].tolist() == [1.5, 1.6, 4.0]
    assert labels.location[0].tolist() == [0.5, 1.6, 10.0]
    assert labels.rotation_y[0] == 0.35
    assert labels.score.tolist() == [0.0, 0.0]


def test_boxes_have_length_before_height_before_width(write):
    assert read_label(write(CAR)).bboxes_3d.tolist() == [[0.5, 1.6, 10.0, 4.0, 1.5, 1.6, 0.35]]


def test_sixteenth_column_is_the_score(write):
    assert read_label(write(f'{CAR} 0.75')).score.tolist() == [0.75]


def test_empty_file_is_a_frame_without_objects(write):
    labels = read_label(write())
    assert len(labels) == 0
    assert labels.bboxes_3d.shape == (0, 7)
    assert labels.labels.shape == (0,)


def test_blank_lines_are_skipped(write):
    assert len(read_label(write('', CAR, '  '))) == 1


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        (CAR.rsplit(' ', 1)[0], 'line 2: 14 columns, expected 15, or 16 with a score'),
        (f'{CAR} 1 2', '17 columns'),
        (CAR.replace('Car', 'Cra'), "unknown class 'Cra'; did you mean 'Car'"),
        (CAR.replace('10.00 0.35', 'nan 0.35'), 'a value is not finite'),
        (CAR.replace('10.00 0.35', 'far 0.35'), "not a number.*'far'"),
        (CAR.replace('Car 0.00 1', 'Car 0.00 1.5'), 'occlusion must be a whole number, got 1.5'),
    ],
)
def test_faults_are_named_with_their_line(write, line, message):
    with pytest.raises(DataError, match=message):
        read_label(write(CAR, line))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r'cannot read the labels .*nowhere\.txt'):
        read_label(tmp_path / 'nowhere.txt')


@pytest.mark.parametrize(('with_score', 'columns'), [(True, 16), (False, 15)])
def test_written_labels_read_back(write, tmp_path, with_score, columns):
    labels = read_label(write(f'{CAR} 0.5', f'{DONT_CARE} 0'))
    write_label(tmp_path / 'b.txt', labels, with_score=with_score)
    assert {len(line.split()) for line in (tmp_path / 'b.txt').read_text().splitlines()} == {columns}
    again = read_label(tmp_path / 'b.txt')
    assert again.score[0] == (0.5 if with_score else 0.0)
    for name in ('name', 'occluded', 'alpha', 'bbox', 'dimensions', 'location', 'rotation_y'):
        np.testing.assert_array_equal(getattr(again, name), getattr(labels, name))


def test_no_detections_write_an_empty_file(write, tmp_path):
    write_label(tmp_path / 'b.txt', read_label(write()))
    assert (tmp_path / 'b.txt').read_text() == ''


def test_values_that_are_not_finite_are_not_written(write, tmp_path):
    labels = dataclasses.replace(read_label(write(CAR)), score=np.array([np.nan]))
    with pytest.raises(DataError, match='not finite'):
        write_label(tmp_path / 'b.txt', labels)
    assert not (tmp_path / 'b.txt').exists()


def test_fields_of_unequal_length_are_not_written(write, tmp_path):
    labels = dataclasses.replace(read_label(write(CAR)), score=np.zeros(2))
    with pytest.raises(ShapeError, match="'score': 2"):
        write_label(tmp_path / 'b.txt', labels)


@pytest.mark.parametrize(
    ('height', 'truncated', 'occluded', 'level'),
    [
        (41, 0.0, 0, 0),
        (40, 0.0, 0, 1),
        (41, 0.2, 0, 1),
        (41, 0.0, 1, 1),
        (41, 0.4, 0, 2),
        (26, 0.0, 2, 2),
        (25, 0.0, 0, -1),
        (41, 0.6, 0, -1),
        (41, 0.0, 3, -1),
    ],
)
def test_difficulty_follows_height_truncation_and_occlusion(height, truncated, occluded, level):
    bbox = np.array([[0.0, 10.0, 50.0, 10.0 + height]])
    assert kitti_difficulty(bbox, np.array([truncated]), np.array([occluded])).tolist() == [level]


@given(st.floats(0, 80), st.floats(0, 1), st.integers(0, 3))
def test_difficulty_never_falls_when_an_object_gets_taller(height, truncated, occluded):
    bbox = np.array([[0.0, 0.0, 9.0, height], [0.0, 0.0, 9.0, height + 20]])
    level = kitti_difficulty(bbox, np.full(2, truncated), np.full(2, occluded)) % 4
    assert level[1] <= level[0]


@pytest.mark.real
def test_real_frames_read_completely(kitti_real):
    files = sorted((kitti_real / 'training/label_2').iterdir())
    labels = [read_label(path) for path in files]
    assert [len(frame) for frame in labels] == [len(path.read_text().splitlines()) for path in files]
    cared = [(frame.dimensions[frame.labels >= 0] > 0).all() for frame in labels]
    assert all(cared)

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mono_distill.utils.errors import DataError, ShapeError
from mono_distill.visualization.picture import put_text, to_picture, write_picture


def test_values_outside_the_range_of_a_picture_are_clipped():
    image = np.array([[[-5.0, 12.7, 300.0]]], np.float32)
    assert to_picture(image).tolist() == [[[0, 12, 255]]]


def test_tensors_have_their_channels_first():
    tensor = torch.arange(12, dtype=torch.uint8).view(3, 2, 2)
    np.testing.assert_array_equal(to_picture(tensor), tensor.permute(1, 2, 0))


def test_the_picture_is_a_copy():
    image = np.zeros((2, 2, 3), np.uint8)
    to_picture(image)[:] = 7
    assert not image.any()


@pytest.mark.parametrize('image', [np.zeros((4, 4)), np.zeros((4, 4, 4)), torch.zeros(1, 4, 4)])
def test_other_shapes_are_refused(image):
    with pytest.raises(ShapeError, match='a picture must be'):
        to_picture(image)


def test_a_written_picture_is_read_back(tmp_path):
    picture = np.random.RandomState(0).randint(0, 256, (5, 6, 3)).astype(np.uint8)
    write_picture(tmp_path / 'new' / 'a.png', picture)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'new' / 'a.png')), picture)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['a.png']


def test_an_unknown_format_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(DataError, match=r'ends in .png or .jpg'):
        write_picture(tmp_path / 'a.txt', np.zeros((5, 6, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_text_leaves_marks():
    picture = np.zeros((30, 60, 3), np.uint8)
    put_text(picture, 'Car', (2, 20))
    assert picture.max() > 200

from __future__ import annotations

import numpy as np
import pytest
from kitti_files import SHAPE, write_frame
from PIL import Image

from mono_distill.datasets.kitti.images import decode_image_shape, is_whole_png, png_header
from mono_distill.utils.errors import DataError


@pytest.fixture
def image(tmp_path):
    write_frame(tmp_path, '000000')
    return tmp_path / 'training/image_2/000000.png'


def test_whole_image_has_its_shape(image):
    assert decode_image_shape(image) == SHAPE
    assert is_whole_png(image)
    assert png_header(image) == (*SHAPE, 8, 2)


@pytest.mark.parametrize('keep', [0, 10, 2000, -20, -12, -1])
def test_image_cut_short_anywhere_is_refused(image, keep):
    image.write_bytes(image.read_bytes()[:keep])
    with pytest.raises(DataError, match=r'000000\.png does not decode as an image'):
        decode_image_shape(image)
    assert not is_whole_png(image)


def test_damage_inside_is_found(image):
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 0xFF
    image.write_bytes(content)
    with pytest.raises(DataError, match='does not decode'):
        decode_image_shape(image)


@pytest.mark.parametrize('content', [bytes(5000), b'<html>404</html>'])
def test_files_of_another_kind_are_refused(image, content):
    image.write_bytes(content)
    with pytest.raises(DataError, match='does not decode'):
        decode_image_shape(image)
    with pytest.raises(DataError, match='is not a PNG'):
        png_header(image)


def test_other_formats_decode_too(tmp_path):
    Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(tmp_path / 'a.jpg')
    assert decode_image_shape(tmp_path / 'a.jpg') == SHAPE


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r'nowhere\.png'):
        decode_image_shape(tmp_path / 'nowhere.png')
    with pytest.raises(DataError, match=r'nowhere\.png'):
        png_header(tmp_path / 'nowhere.png')
    assert not is_whole_png(tmp_path / 'nowhere.png')

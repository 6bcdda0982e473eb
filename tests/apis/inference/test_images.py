"""What counts as images, in which order, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_inference import picture

from mono_distill.apis.inference.images import check_names, collect_images, read_image
from mono_distill.datasets.transforms import LoadMonoImage
from mono_distill.utils.errors import DataError, ShapeError


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(['b.png', 'a.jpg', 'deep/c.png', '.hidden.png']):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), picture(8, 16, number))
    (tmp_path / 'notes.txt').write_text('no image')
    return tmp_path


def names(images):
    return [source.name for source in collect_images(images)]


def test_a_folder_gives_its_images_by_name(folder):
    assert names(folder) == ['a', 'b']


def test_a_pattern_gives_its_matches_by_name(folder):
    assert names(str(folder / '*.[jp][pn]g')) == ['a', 'b']
    assert names(str(folder / '**' / '*.png')) == ['b', 'c']


def test_files_folders_and_arrays_keep_the_order_they_are_given_in(folder):
    assert names([folder / 'b.png', folder / 'deep', picture(), str(folder / 'a.jpg')]) == [
        'b',
        'c',
        'image_000002',
        'a',
    ]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    cv2.imwrite(str(tmp_path / 'a[1].png'), picture(8, 16))
    assert names(tmp_path / 'a[1].png') == ['a[1]']


def test_a_file_is_read_as_the_data_sets_read_it(folder):
    path = folder / 'a.jpg'
    expected = LoadMonoImage().transform({'img_path': str(path)})['img']
    assert np.array_equal(collect_images(path)[0].read(), expected)


def test_an_array_is_taken_as_it_is():
    image = picture()
    assert collect_images(image)[0].read() is image


@pytest.mark.parametrize(
    ('images', 'message'),
    [
        ('nowhere.png', 'image nowhere.png does not exist'),
        ('no*where.png', "no file matches 'no\\*where.png'"),
        ([], 'no image to look at'),
    ],
)
def test_what_is_not_there_is_named(images, message):
    with pytest.raises(DataError, match=message):
        collect_images(images)


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(DataError, match=f'folder {tmp_path} holds no image'):
        collect_images(tmp_path)


@pytest.mark.parametrize('content', [b'', b'no image at all'])
def test_a_damaged_image_is_named(tmp_path, content):
    path = tmp_path / 'damaged.png'
    path.write_bytes(content)
    with pytest.raises(DataError, match=f'damaged.png is damaged or no image \\({len(content)} bytes'):
        collect_images(path)[0].read()


def test_an_image_that_vanished_is_named(tmp_path):
    with pytest.raises(DataError, match=r'gone.png \(No such file'):
        read_image(tmp_path / 'gone.png')


@pytest.mark.parametrize(
    'array', [np.zeros((8, 16), np.uint8), np.zeros((8, 16, 3)), np.zeros((3, 8, 16), np.uint8), None, 7]
)
def test_another_array_is_refused(array):
    with pytest.raises(ShapeError, match=r'\(H, W, 3\) of uint8'):
        collect_images([array])


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(ShapeError, match='no pixels'):
        collect_images(np.zeros((0, 16, 3), np.uint8))


def test_images_of_the_same_name_cannot_share_output_files(folder):
    cv2.imwrite(str(folder / 'deep' / 'a.png'), picture(8, 16))
    sources = collect_images([folder / 'a.jpg', folder / 'deep'])
    with pytest.raises(DataError, match='2 images are named a'):
        check_names(sources)
    check_names(sources[1:])
    assert isinstance(sources[0].path, Path)

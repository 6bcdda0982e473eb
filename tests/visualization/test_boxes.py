from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes

from mono_distill.utils.errors import ShapeError
from mono_distill.visualization import draw_boxes_2d, draw_boxes_3d

CAM2IMG = np.array([[100.0, 0, 100, 0], [0, 100, 50, 0], [0, 0, 1, 0]])
IMAGE = np.zeros((100, 200, 3), np.uint8)
COLOR = (0, 255, 0)


def _marked(picture):
    rows, columns = np.nonzero(picture.any(axis=2))
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_a_box_is_drawn_where_it_projects_to():
    # 2 m high and wide, 4 m long, heading away; the near face at 8 m spans 100 +- 12.5 columns.
    picture = draw_boxes_3d(IMAGE, [[0, 1, 10, 4, 2, 2, -np.pi / 2]], CAM2IMG, color=COLOR)
    np.testing.assert_allclose(_marked(picture), [87, 37, 113, 63], atol=1)


@pytest.mark.parametrize(('yaw', 'near_is_front'), [(np.pi / 2, True), (-np.pi / 2, False)])
def test_only_the_front_face_has_a_cross(yaw, near_is_front):
    # The middle of the near face (8 m) lies at column 150, that of the far one (12 m) at 133; no edge passes there.
    picture = draw_boxes_3d(IMAGE, [[4, 1, 10, 4, 2, 2, yaw]], CAM2IMG, color=COLOR)
    assert picture[50, 150].any() == near_is_front
    assert picture[50, 133].any() != near_is_front


def test_boxes_of_mmdet3d_and_arrays_are_drawn_alike():
    boxes = np.array([[1, 1, 10, 4, 2, 2, 0.3]], np.float32)
    image = torch.zeros(3, 100, 200)
    np.testing.assert_array_equal(
        draw_boxes_3d(image, CameraInstance3DBoxes(boxes), torch.from_numpy(CAM2IMG)),
        draw_boxes_3d(IMAGE, boxes, CAM2IMG),
    )


def test_a_box_around_the_camera_shows_only_what_is_ahead():
    # The box reaches from 5 m behind to 5 m ahead. Without clipping, its rear corners would appear mirrored, above the
    # horizon: the lower edges must stay below it.
    picture = draw_boxes_3d(IMAGE, [[0, 2, 0, 10, 1, 2, -np.pi / 2]], CAM2IMG, color=COLOR)
    assert picture.any()
    assert _marked(picture)[1] > 50


def test_a_box_behind_the_camera_is_not_drawn():
    assert not draw_boxes_3d(IMAGE, [[0, 1, -10, 4, 2, 2, 0]], CAM2IMG, texts=['Car']).any()


def test_a_huge_box_does_not_overflow():
    assert draw_boxes_3d(IMAGE, [[0, 1, 1e6, 1e9, 1e9, 2e6, 0]], CAM2IMG).shape == IMAGE.shape


def test_the_input_is_not_changed_and_no_boxes_change_nothing():
    image = IMAGE.copy()
    draw_boxes_3d(image, [[0, 1, 10, 4, 2, 2, 0]], CAM2IMG)
    draw_boxes_2d(image, [[1, 2, 30, 40]])
    assert not image.any()
    assert not draw_boxes_3d(image, np.zeros((0, 7)), CAM2IMG, texts=[]).any()
    assert not draw_boxes_2d(image, torch.zeros(0, 4)).any()


def test_texts_are_drawn_at_their_boxes():
    boxes = [[-5, 1, 10, 4, 2, 2, 0], [5, 1, 10, 4, 2, 2, 0]]
    plain = draw_boxes_3d(IMAGE, boxes, CAM2IMG)
    written = draw_boxes_3d(IMAGE, boxes, CAM2IMG, texts=['Car', ''])
    changed = (plain != written).any(axis=(0, 2))
    assert changed[:100].any()
    assert not changed[100:].any()


@pytest.mark.parametrize(
    'draw',
    [
        lambda texts: draw_boxes_3d(IMAGE, np.zeros((2, 7)), CAM2IMG, texts=texts),
        lambda texts: draw_boxes_2d(IMAGE, np.zeros((2, 4)), texts=texts),
    ],
)
def test_texts_and_boxes_must_match(draw):
    with pytest.raises(ShapeError, match='one text per box, got 1 texts for 2 boxes'):
        draw(['Car'])


def test_a_2d_box_is_its_outline():
    picture = draw_boxes_2d(IMAGE, [[20, 30, 60, 80]], color=COLOR)
    np.testing.assert_allclose(_marked(picture), (20, 30, 60, 80), atol=1)
    assert (picture[30:81, [20, 60], 1] > 200).all()
    assert not picture[40:70, 30:50].any()


def test_a_2d_box_may_leave_the_picture():
    picture = draw_boxes_2d(IMAGE, [[-50, 30, 60, 500]], color=COLOR)
    assert picture[30, 0].any()
    assert picture[99, 60].any()

from __future__ import annotations

import numpy as np
import pytest
import torch
from multi_view_samples import sample

from mono_distill.utils.errors import ShapeError
from mono_distill.visualization import LidarBoxes, draw_camera_mosaic
from mono_distill.visualization.lidar_geometry import CameraView

COLOR = (10, 200, 30)
AHEAD = [[0.0, 15.0, -1.5, 4.0, 2.0, 1.5, 0.0]]
CAPTION, GAP = 18, 6


def black(count, size=(90, 160)):
    return torch.zeros(1, count, 3, *size, dtype=torch.uint8)


def panel(mosaic, row, column, size=(90, 160)):
    top, left = row * (size[0] + CAPTION + GAP) + CAPTION, column * (size[1] + GAP)
    return mosaic[top : top + size[0], left : left + size[1]]


def drawn(picture, color=COLOR):
    return (np.abs(picture.astype(int) - color) < 60).all(axis=2)


def test_the_six_cameras_of_nuscenes_take_their_places():
    images = black(6)
    for camera in range(6):
        images[0, camera] = 40 * camera
    mosaic = draw_camera_mosaic(images, sample())
    # CAM_FRONT, CAM_FRONT_RIGHT, CAM_FRONT_LEFT, CAM_BACK, CAM_BACK_LEFT, CAM_BACK_RIGHT
    places = [[panel(mosaic, row, column)[45, 80, 0] // 40 for column in range(3)] for row in range(2)]
    assert places == [[2, 0, 1], [5, 3, 4]]


def test_a_missing_camera_leaves_its_place_empty():
    images = black(5) + 200
    mosaic = draw_camera_mosaic(images, sample(cameras=5))
    assert panel(mosaic, 1, 0).mean() < 60  # CAM_BACK_RIGHT
    assert panel(mosaic, 1, 2).mean() == 200


def test_other_rigs_are_drawn_in_their_order():
    metainfo = sample(cameras=4)
    metainfo['cameras'] = None
    images = black(4)
    for camera in range(4):
        images[0, camera] = 60 * camera
    mosaic = draw_camera_mosaic(images, metainfo)
    assert [panel(mosaic, number // 3, number % 3)[45, 80, 0] for number in range(4)] == [0, 60, 120, 180]


def test_a_box_is_drawn_in_the_cameras_that_see_it_and_only_there():
    mosaic = draw_camera_mosaic(black(6), sample(), [LidarBoxes(AHEAD, COLOR)])
    seen = [[bool(drawn(panel(mosaic, row, column)).any()) for column in range(3)] for row in range(2)]
    assert seen == [[False, True, False], [False, False, False]]


@pytest.mark.parametrize('magnify', [1, 2])
def test_it_is_drawn_around_its_projection(magnify):
    metainfo = sample()
    mosaic = draw_camera_mosaic(black(6), metainfo, [LidarBoxes(AHEAD, COLOR)], magnify=magnify)
    picture = panel(mosaic, 0, 1, (90 * magnify, 160 * magnify))
    rows, columns = np.nonzero(drawn(picture))
    view = CameraView(metainfo, 0)
    pixels = view.corners(AHEAD)[0] @ view.cam2img[:, :3].T + view.cam2img[:, 3]
    pixels = magnify * pixels[:, :2] / pixels[:, 2:]
    np.testing.assert_allclose([columns.min(), columns.max()], [pixels[:, 0].min(), pixels[:, 0].max()], atol=1.5)
    np.testing.assert_allclose([rows.min(), rows.max()], [pixels[:, 1].min(), pixels[:, 1].max()], atol=1.5)


def test_texts_follow_their_boxes():
    behind = [0.0, -15.0, -1.5, 4.0, 2.0, 1.5, 0.0]
    plain = draw_camera_mosaic(black(6), sample(), [LidarBoxes([behind, *AHEAD], COLOR)])
    named = draw_camera_mosaic(black(6), sample(), [LidarBoxes([behind, *AHEAD], COLOR, texts=['a', 'bbbbbbbbbb'])])
    changed = (plain != named).any(axis=2)
    assert panel(changed, 0, 1).sum() > 3 * panel(changed, 1, 1).sum() > 0  # the longer text is ahead


def test_depth_targets_are_dots_in_their_cells():
    depth = torch.zeros(6, 9, 16)
    depth[0, 4, 5] = 5.0
    mosaic = draw_camera_mosaic(black(6), sample(), gt_depth=depth)
    rows, columns = np.nonzero(panel(mosaic, 0, 1).any(axis=2))
    assert 40 <= rows.min() <= rows.max() <= 50
    assert 50 <= columns.min() <= columns.max() <= 60
    assert not panel(mosaic, 0, 0).any()


def test_the_pictures_that_came_in_are_not_drawn_on():
    images = black(6)
    draw_camera_mosaic(images, sample(), [LidarBoxes(AHEAD, COLOR)], gt_depth=torch.ones(6, 9, 16))
    assert not images.any()


def test_lists_of_arrays_are_drawn_too():
    results = sample()
    mosaic = draw_camera_mosaic(results['img'][0], results)
    np.testing.assert_array_equal(panel(mosaic, 0, 1), results['img'][0][0])


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ShapeError, match='no camera'):
        draw_camera_mosaic([], sample())
    with pytest.raises(ShapeError, match='gt_depth has 5 cameras, the sample 6'):
        draw_camera_mosaic(black(6), sample(), gt_depth=torch.zeros(5, 9, 16))

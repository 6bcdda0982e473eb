from __future__ import annotations

import numpy as np
import pytest
import torch

from mono_distill.utils.errors import ConfigError, ShapeError
from mono_distill.visualization import PREDICTION_COLOR, BevView, BoxSet, draw_bev

VIEW = BevView(x_range=(-20, 20), z_range=(0, 40), scale=5)
EMPTY = draw_bev(view=VIEW)


def _changed(picture):
    rows, columns = np.nonzero((picture != EMPTY).any(axis=2))
    return columns, rows


def test_a_metre_is_as_many_pixels_as_the_view_says():
    assert EMPTY.shape == (200, 200, 3)
    np.testing.assert_array_equal(VIEW.pixels(np.array([[-20, 40], [0, 0], [20, 40]])), [[0, 0], [100, 200], [200, 0]])


def test_grid_lines_lie_at_full_tens_of_metres():
    row = EMPTY[75, :, 0].astype(int)
    lines = np.flatnonzero(row > row.min() + 15)
    assert {round(column / 5 - 20) for column in lines} <= {-20, -10, 0, 10, 20}
    assert {50, 100, 150} <= set(lines.tolist())


def test_points_are_drawn_at_their_place_and_brighter_when_higher():
    points = np.array([[3.3, 1.5, 12.2], [-7.1, -1.0, 33.1], [99.0, 0.0, 9.0], [0.0, 0.0, -5.0], [np.nan, 0, 5]])
    picture = draw_bev(points, view=VIEW)
    columns, rows = _changed(picture)
    assert set(zip(columns.tolist(), rows.tolist(), strict=True)) == {(116, 139), (64, 34)}
    assert picture[34, 64, 0] > picture[139, 116, 0]


def test_a_box_is_drawn_with_a_line_to_its_front():
    # Heads to the right: from (4, 20) to (8, 20), 2 m wide.
    picture = draw_bev(box_sets=[BoxSet([[6, 1, 20, 4, 1.5, 2, 0]])], view=VIEW)
    columns, rows = _changed(picture)
    np.testing.assert_allclose([columns.min(), columns.max(), rows.min(), rows.max()], [120, 140, 95, 105], atol=1)
    assert (picture[100, 131:139] != EMPTY[100, 131:139]).any(axis=1).all()
    assert (picture[100, 123:129] == EMPTY[100, 123:129]).all()


def test_sets_have_their_colours_names_and_scores():
    boxes = torch.tensor([[0.0, 1, 20, 4, 1.5, 2, 0]])
    plain = draw_bev(box_sets=[BoxSet(boxes, PREDICTION_COLOR)], view=VIEW)
    scored = draw_bev(box_sets=[BoxSet(boxes, PREDICTION_COLOR, scores=torch.tensor([0.5]))], view=VIEW)
    named = draw_bev(box_sets=[BoxSet(boxes, PREDICTION_COLOR, 'prediction')], view=VIEW)
    assert (np.abs(plain.astype(int) - PREDICTION_COLOR) < 60).all(axis=2).any()
    assert (plain != scored).any()
    assert (plain[:20, :90] != named[:20, :90]).any()


def test_the_field_of_view_opens_at_the_camera():
    cam2img = np.array([[100.0, 0, 100, 0], [0, 100, 50, 0], [0, 0, 1, 0]])
    columns, rows = _changed(draw_bev(view=VIEW, cam2img=cam2img, image_width=200))
    # 45 degrees to both sides.
    np.testing.assert_allclose(np.abs(columns - 100), 200 - rows, atol=2)


def test_a_box_far_outside_is_ignored():
    scores = np.array([0.5])
    picture = draw_bev(box_sets=[BoxSet([[1e9, 1, 20, 4, 1.5, 2, 0]], scores=scores)], view=VIEW)
    np.testing.assert_array_equal(picture, EMPTY)


def test_points_without_height_are_refused():
    with pytest.raises(ShapeError, match=r'points must be \(N, 3 or more\), got \(5, 2\)'):
        draw_bev(np.zeros((5, 2)))


def test_scores_and_boxes_must_match():
    with pytest.raises(ShapeError, match='one score per box'):
        draw_bev(box_sets=[BoxSet(np.ones((2, 7)), scores=np.ones(3))])


@pytest.mark.parametrize(
    ('kwargs', 'message'), [(dict(x_range=(5, 5)), 'ranges must ascend'), (dict(scale=0), 'must be positive')]
)
def test_impossible_views_are_refused(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        BevView(**kwargs)

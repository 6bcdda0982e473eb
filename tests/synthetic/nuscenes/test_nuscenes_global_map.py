from __future__ import annotations

import numpy as np
import pytest

from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.nuscenes.global_map import OFFSET, RESOLUTION, draw_map, world2global
from mono_distill.synthetic.road import Road
from mono_distill.synthetic.scene import Environment, Scene, Track
from mono_distill.synthetic.shapes import box

SKY = Environment((0, 0, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), 0.0, 1000.0, 0.0, 1.0, 0.0, (1, 1, 1), 0)


def scene(index: int = 0) -> Scene:
    road = Road(((0.3, 200.0, 0.5),), ((0.0, 100.0, 0.0),), 3.5, (1, 1), 0.1)
    mesh = box((0, 0, 0), (1, 1, 1), Material((0.5, 0.5, 0.5)))
    return Scene(0, index, road, Track(0.0, -1.75, 5.0, 0.0), mesh, (), SKY, 1.5, 0.0, 0.0)


def test_scenes_lie_apart_and_face_elsewhere():
    first, second = (world2global(scene(index), 10.0) for index in (0, 1))
    assert np.linalg.norm(first[:2, 3] - second[:2, 3]) > 1
    assert not np.allclose(first[:3, :3], second[:3, :3], atol=0.1)
    for pose in (first, second):
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        assert pose[2, 3] == 0


def test_the_map_has_the_road_white_and_all_else_black():
    given = scene()
    mask, pose = draw_map(given, 10.0), world2global(given, 10.0)
    assert set(np.unique(mask)) == {0, 255}
    right, left = given.road.half_widths
    for offset, expected in ((0, 255), (-right + 0.3, 255), (left - 0.3, 255), (-right - 0.3, 0), (left + 0.3, 0)):
        points = given.road.points(np.arange(-90, 140, 5.0), offset) @ pose[:3, :3].T + pose[:3, 3]
        column, row = np.round(points[:, 0] / RESOLUTION), np.round(mask.shape[0] - points[:, 1] / RESOLUTION)
        assert (mask[row.astype(int), column.astype(int)] == expected).all()


def test_the_road_keeps_away_from_the_edges():
    mask = draw_map(scene(), 10.0)
    rows, columns = np.nonzero(mask)
    margin = OFFSET[0] / RESOLUTION - 20
    assert min(rows.min(), columns.min(), mask.shape[0] - rows.max(), mask.shape[1] - columns.max()) > margin


def test_the_area_of_the_road_is_its_length_times_its_width():
    given = scene()
    length, width = 10.0 * given.ego.speed + 200, sum(given.road.half_widths)
    assert (draw_map(given, 10.0) > 0).sum() * RESOLUTION**2 == pytest.approx(length * width, rel=0.02)

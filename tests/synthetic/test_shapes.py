from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.shapes import box, cylinder, ellipsoid, loft, patch, polygon, tube
from mono_distill.utils.errors import ShapeError

GREY, BLUE = Material((0.5, 0.5, 0.5)), Material((0.0, 0.0, 1.0))
POLYGON = np.array([[0.0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]])


def disc(sides):
    """Area of a regular polygon in the unit circle."""
    return sides / 2 * np.sin(2 * np.pi / sides)


def octagon(radius, z):
    angle = np.arange(8) * np.pi / 4
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(8, z)], axis=1)


def triangles(mesh):
    return mesh.vertices[mesh.faces].astype(np.float64)


def volume(mesh):
    """By the divergence theorem: positive only if faces are counter-clockwise seen from outside."""
    first, second, third = triangles(mesh).transpose(1, 0, 2)
    return float(np.einsum('ij,ij->i', first, np.cross(second, third)).sum() / 6)


def open_edges(mesh):
    """Edges that are not met by exactly one triangle of the other side."""
    edges = Counter()
    for corners in np.round(triangles(mesh), 5) + 0.0:
        points = [tuple(corner) for corner in corners.tolist()]
        for start, end in zip(points, points[1:] + points[:1], strict=True):
            edges[start, end] += 1
    return [edge for edge, count in edges.items() if count != 1 or edges[edge[::-1]] != 1]


SOLIDS = {
    'box': (box((3, -2, 1), (1, 2, 3), GREY), 6.0),
    'box with a roof of its own': (box((0, 0, 0), (4, 2, 1), GREY, top=BLUE), 8.0),
    # The mean of the areas at the ends and four times the middle.
    'tapered box': (box((0, 0, 0), (2, 2, 3), GREY, taper=0.5), 3 * (4 + 4 * 2.25 + 1) / 6),
    'cylinder': (cylinder((5, 5, 5), 2.0, 0.5, GREY, sides=10), disc(10) * 0.25 * 2),
    'cone': (cylinder((0, 0, 0), 3.0, 1.0, GREY, sides=12, top_radius=0.001), disc(12) * 1.001),
    'slanted tube': (tube([[0, 0, 0], [3, 0, 4]], 0.2, GREY, sides=7), disc(7) * 0.04 * 5),
    'tube along y': (tube([[0, 3, 1], [0, 0, 1], [0, -1, 1]], 0.2, GREY, sides=7), disc(7) * 0.04 * 4),
    'loft': (loft([octagon(1, 0), octagon(2, 1), octagon(1, 2)], GREY), disc(8) * 2 * (1 + 2 + 4) / 3),
    'flat loft': (loft([octagon(1, 0), octagon(1, 2)], GREY, smooth=False), disc(8) * 2),
    'ellipsoid': (ellipsoid((1, 2, 3), (1, 2, 0.5), GREY, rows=40, sides=60), 4 / 3 * np.pi),
}


@pytest.mark.parametrize('name', SOLIDS)
def test_solids_enclose_their_volume_with_faces_outward(name):
    mesh, expected = SOLIDS[name]
    assert volume(mesh) == pytest.approx(expected, rel=0.006)


@pytest.mark.parametrize('name', SOLIDS)
def test_solids_are_closed(name):
    assert open_edges(SOLIDS[name][0]) == []


@pytest.mark.parametrize('name', SOLIDS)
def test_normals_are_unit_and_on_the_side_of_their_faces(name):
    mesh = SOLIDS[name][0]
    first, second, third = triangles(mesh).transpose(1, 0, 2)
    outward = np.cross(second - first, third - first)
    assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(1, abs=1e-5)
    for corner in range(3):
        assert np.einsum('ij,ij->i', outward, mesh.normals[mesh.faces[:, corner]]).min() > 0


def test_top_of_a_box_has_its_own_material():
    mesh = box((0, 0, 0), (4, 2, 1), GREY, top=BLUE)
    up = mesh.normals[mesh.faces[:, 0], 2] > 0.9
    assert up.sum() == 2
    assert np.array_equal(up, [mesh.materials[index] == BLUE for index in mesh.material])


def test_smooth_tubes_and_balls_show_no_seam():
    pipe = tube([[0, 0, 0], [0, 0, 2]], 1.0, GREY, capped=False)
    # The diagonals of the cells turn all normals alike.
    radial = np.einsum('ij,ij->i', pipe.normals[:, :2], pipe.vertices[:, :2])
    assert radial.min() > 0.98
    assert np.ptp(radial) < 1e-5
    ball = ellipsoid((0, 0, 0), (1, 1, 1), GREY, rows=20, sides=30)
    assert np.abs(ball.normals - ball.vertices).max() < 0.03
    poles = np.abs(ball.vertices[:, 2]) > 0.999
    assert np.abs(ball.normals[poles]) == pytest.approx(np.tile([0, 0, 1], (poles.sum(), 1)), abs=1e-5)


def test_patch_looks_to_where_rows_go_up_and_columns_right():
    # Seen from +z: columns along x, rows along y.
    x, y = np.meshgrid([0.0, 1.0, 2.0], [0.0, 1.0])
    mesh = patch(np.stack([x, y, 0 * x], axis=-1), GREY)
    assert len(mesh.faces) == 4
    assert mesh.normals == pytest.approx(np.tile([0, 0, 1], (6, 1)))


def test_patch_measures_surface_coordinates_along_the_surface():
    # A sheet folded at a right angle after its first metre, columns 1 m and rows 2 m apart.
    sheet = np.array([[[0.0, 0, z], [1, 0, z], [1, 1, z], [1, 2, z]] for z in (0.0, 2.0)])
    uv = patch(sheet, GREY).uv.reshape(2, 4, 2)
    assert uv[:, :, 0] == pytest.approx(np.tile([0, 1, 2, 3], (2, 1)))
    assert uv[:, :, 1] == pytest.approx(np.tile([[0], [2]], (1, 4)))


def test_patch_takes_given_surface_coordinates():
    grid = np.zeros((2, 2, 3)) + np.array([[[0, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 1, 0]]])
    uv = np.arange(8.0).reshape(2, 2, 2)
    assert patch(grid, GREY, uv=uv).uv.ravel().tolist() == list(range(8))
    flat = patch(grid, GREY, uv=uv, smooth=False)
    assert sorted(flat.uv.tolist()) == sorted(uv.reshape(-1, 2).tolist())


def test_flat_patch_has_one_normal_per_cell():
    roof = np.array([[[-1.0, 0, 0], [0, 0, 1], [1, 0, 0]], [[-1.0, 2, 0], [0, 2, 1], [1, 2, 0]]])
    normals = np.unique(np.round(patch(roof, GREY, smooth=False).normals, 4), axis=0)
    assert normals == pytest.approx(np.array([[-0.7071, 0, 0.7071], [0.7071, 0, 0.7071]]))


def test_polygon_measures_surface_coordinates_in_metres_in_its_plane():
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    corners = np.array([[0.0, 0, 0], [3, 0, 0], [4, 2, 0], [1, 3, 0], [-1, 1, 0]]) @ turn.T + [5, 6, 7]
    mesh = polygon(corners, GREY)
    distance = np.linalg.norm(mesh.vertices[:, None] - mesh.vertices[None], axis=2)
    assert np.linalg.norm(mesh.uv[:, None] - mesh.uv[None], axis=2) == pytest.approx(distance, abs=1e-5)
    assert mesh.uv[1] == pytest.approx([3, 0], abs=1e-5)


def test_polygon_may_begin_with_three_corners_on_a_line():
    mesh = polygon(np.insert(POLYGON, 1, [1, 0, 0], axis=0), GREY)
    assert mesh.normals == pytest.approx(np.tile([0, 0, 1], (5, 1)))
    assert mesh.uv[-1] == pytest.approx([0, 1])


@pytest.mark.parametrize(
    'build',
    [
        lambda: patch(np.zeros((1, 4, 3)), GREY),
        lambda: patch(np.zeros((4, 3)), GREY),
        lambda: patch(np.zeros((2, 4, 2)), GREY),
        lambda: patch(np.zeros((2, 4, 3)), GREY, uv=np.zeros((4, 2, 2))),
        lambda: polygon(POLYGON[:2], GREY),
        lambda: polygon(POLYGON[:, :2], GREY),
        lambda: loft(POLYGON, GREY),
        lambda: loft([POLYGON], GREY),
        lambda: loft([POLYGON[:2], POLYGON[:2]], GREY),
    ],
)
def test_points_of_wrong_shape_are_refused(build):
    with pytest.raises(ShapeError, match='got'):
        build()

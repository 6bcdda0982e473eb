from __future__ import annotations

import numpy as np
import pytest
from body_views import face_normals, look

from mono_distill.synthetic.actors.builder import MeshBuilder
from mono_distill.synthetic.materials import Material
from mono_distill.utils.errors import ShapeError

RED, BLUE = Material((0.5, 0, 0)), Material((0, 0, 0.5))


def volume(mesh) -> float:
    corners = mesh.vertices[mesh.faces].astype(float)
    return float(np.einsum('ij,ij->i', corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6)


def test_a_box_is_closed_and_has_flat_sides():
    builder = MeshBuilder()
    builder.box((0, 0, 1), (1, 2, 3), RED)
    mesh = builder.build()
    assert volume(mesh) == pytest.approx(6)
    assert len(mesh.faces) == 12
    flat = face_normals(mesh)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(mesh.normals[mesh.faces], np.repeat(flat[:, None], 3, axis=1), atol=1e-6)


@pytest.mark.parametrize('end', [(0, 0, 2), (2, 0, 0), (0, 2, 0), (1, 1, -1)])
def test_a_tube_is_closed_and_faces_outward(end):
    builder = MeshBuilder()
    builder.tube([(0, 0, 0), end], 0.3, RED, sides=16)
    area = 16 / 2 * 0.3**2 * np.sin(2 * np.pi / 16)
    assert volume(builder.build()) == pytest.approx(area * np.linalg.norm(end), rel=1e-4)


def test_an_ellipsoid_has_smooth_outward_normals():
    builder = MeshBuilder()
    builder.ellipsoid((0, 0, 0), (1, 1, 1), RED, rows=8, sides=16)
    mesh = builder.build()
    middle = np.abs(mesh.vertices[:, 2]) < 0.99
    assert ((mesh.normals * mesh.vertices).sum(axis=1)[middle] > 0.98).all()
    assert look(mesh, 30).outward.all()


def test_cells_of_two_materials_meet_in_a_sharp_edge():
    bent = [[(0, -1, 0), (0, 0, 0), (1, 0, 0)], [(0, -1, 1), (0, 0, 1), (1, 0, 1)]]
    smooth, sharp = MeshBuilder(), MeshBuilder()
    smooth.grid(bent, RED)
    sharp.grid(bent, np.array([[sharp.index(RED), sharp.index(BLUE)]]))
    assert len(smooth.build().vertices) == 6
    assert len(sharp.build().vertices) == 8
    assert sharp.build().materials == (RED, BLUE)


def test_groups_make_sharp_edges_within_a_material():
    builder = MeshBuilder()
    bent = [[(0, -1, 0), (0, 0, 0), (1, 0, 0)], [(0, -1, 1), (0, 0, 1), (1, 0, 1)]]
    builder.grid(bent, RED, group=np.array([[0, 1]]))
    assert len(builder.build().vertices) == 8


def test_triangles_without_area_are_left_out():
    builder = MeshBuilder()
    builder.grid([[(0, 0, 0), (1, 0, 0)], [(0, 0, 0), (1, 0, 1)]], RED)
    assert len(builder.build().faces) == 1


def test_surface_coordinates_can_be_given():
    builder = MeshBuilder()
    builder.polygon([(0, 0, 0), (1, 0, 0), (0, 0, 1)], RED, uv=[(5, 6), (7, 8), (9, 10)])
    assert sorted(builder.build().uv.tolist()) == [[5, 6], [7, 8], [9, 10]]


def test_an_empty_builder_is_refused():
    with pytest.raises(ShapeError, match='add at least one surface'):
        MeshBuilder().build()

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import merge, pose_matrix
from mono_distill.synthetic.shapes import box, ellipsoid
from mono_distill.utils.errors import ShapeError

RED, BLUE = Material((1.0, 0.0, 0.0)), Material((0.0, 0.0, 1.0))
CUBE = box((0, 0, 0), (1, 1, 1), RED, top=BLUE)


def face_normals(mesh):
    first, second, third = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    cross = np.cross(second - first, third - first)
    return cross / np.linalg.norm(cross, axis=1, keepdims=True)


def colors(mesh):
    return [mesh.materials[index] for index in mesh.material]


def test_merge_keeps_every_face_with_its_corners_and_material():
    other = box((5, 0, 0), (1, 2, 3), BLUE)
    both = merge([CUBE, other])
    expected = np.concatenate([mesh.vertices[mesh.faces] for mesh in (CUBE, other)])
    assert np.array_equal(both.vertices[both.faces], expected)
    assert colors(both) == colors(CUBE) + colors(other)


def test_merge_shares_equal_materials():
    both = merge([CUBE, box((5, 0, 0), (1, 2, 3), replace(BLUE))])
    assert both.materials == (RED, BLUE)


def test_merge_of_nothing_is_refused():
    with pytest.raises(ShapeError, match='at least one mesh'):
        merge([])


def test_transformed_normals_stay_unit_and_at_right_angles_to_their_faces():
    matrix = pose_matrix(1, 2, 3, 0.7, 0.2, -0.3) @ np.diag([2.0, 0.5, 3.0, 1.0])
    mesh = CUBE.transformed(matrix)
    assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(1, abs=1e-6)
    for corner in range(3):
        assert mesh.normals[mesh.faces[:, corner]] == pytest.approx(face_normals(mesh), abs=1e-5)


def test_normals_of_a_stretched_ball_are_those_of_the_ellipsoid():
    mesh = ellipsoid((0, 0, 0), (1, 1, 1), RED, rows=24, sides=48).transformed(np.diag([3.0, 1.0, 0.5, 1.0]))
    gradient = mesh.vertices / np.square([3.0, 1.0, 0.5])
    gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
    assert np.abs(mesh.normals - gradient).max() < 0.05


@pytest.mark.parametrize('scale', [(-1, 1, 1), (1, 1, 0)])
def test_reflections_and_flattening_are_refused(scale):
    with pytest.raises(ShapeError, match='reflects or flattens'):
        CUBE.transformed(np.diag([*scale, 1.0]))


def test_matrix_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r'\(3, 4\)'):
        CUBE.transformed(np.eye(4)[:3])


def test_scaled_to_fills_exactly_the_box_on_the_ground():
    mesh = ellipsoid((7, -3, 2), (1, 2, 0.4), RED).scaled_to(4.2, 1.8, 1.5)
    low, high = mesh.bounds
    assert low == pytest.approx([-2.1, -0.9, 0], abs=1e-6)
    assert high == pytest.approx([2.1, 0.9, 1.5], abs=1e-6)


def test_moved_turns_first_and_then_moves():
    low, high = box((1, 0, 0), (2, 1, 1), RED).moved(10, 0, 5, np.pi / 2).bounds
    assert low == pytest.approx([9.5, 0, 5], abs=1e-6)
    assert high == pytest.approx([10.5, 2, 6], abs=1e-6)


def test_pose_lifts_the_nose_with_pitch_and_the_left_side_with_roll():
    assert pose_matrix(0, 0, 0, 0.4, pitch=0.1)[2, 0] == pytest.approx(np.sin(0.1))
    assert pose_matrix(0, 0, 0, 0.4, roll=0.1)[2, 1] == pytest.approx(np.sin(0.1))
    turn = pose_matrix(1, 2, 3, 0.4, 0.1, -0.2)
    assert turn[:3, :3] @ turn[:3, :3].T == pytest.approx(np.eye(3))
    assert np.linalg.det(turn) == pytest.approx(1)
    assert turn[:3, 3].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ('name', 'shape'), [('vertices', (24, 2)), ('normals', (23, 3)), ('uv', (24, 3)), ('faces', (12, 4))]
)
def test_arrays_of_wrong_shape_are_refused(name, shape):
    with pytest.raises(ShapeError, match=name if name != 'vertices' else 'Mesh'):
        replace(CUBE, **{name: np.zeros(shape, dtype=np.float32)})


def test_one_material_index_per_face_is_required():
    with pytest.raises(ShapeError, match='material'):
        replace(CUBE, material=np.zeros(11, dtype=np.int32))

from __future__ import annotations

import sys

import numpy as np
import pytest

from mono_distill.synthetic.embree import EmbreeTriangles
from mono_distill.utils.errors import ConfigError

# In the plane x = 3, about the x axis.
TRIANGLE = np.array([[[3.0, -1, -1], [3, 1, -1], [3, 0, 1]]], dtype=np.float32)
WAYS = np.array([[1.0, 0, 0], [-1, 0, 0]], dtype=np.float32)
STARTS = np.zeros((2, 3), dtype=np.float32)


def test_ray_through_a_triangle_finds_it():
    distance, triangle, weights = EmbreeTriangles(TRIANGLE).cast(STARTS, WAYS)
    assert distance.tolist() == [3.0, np.inf]
    assert triangle.tolist() == [0, -1]
    assert weights[0] == pytest.approx([0.25, 0.5])
    assert (distance.dtype, triangle.dtype, weights.dtype) == (np.float32, np.int32, np.float32)


def test_triangles_are_met_from_both_sides():
    assert EmbreeTriangles(TRIANGLE[:, ::-1]).cast(STARTS, WAYS)[0][0] == 3.0


def test_blocked_tells_hit_from_miss():
    assert EmbreeTriangles(TRIANGLE).blocked(STARTS, WAYS).tolist() == [True, False]


def test_geometry_outlives_the_array_that_it_was_built_from():
    corners = TRIANGLE.copy()
    triangles = EmbreeTriangles(corners)
    corners[:] = 0
    del corners
    assert triangles.cast(STARTS, WAYS)[0][0] == 3.0


def test_missing_embree_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'embreex.mesh_construction', None)
    with pytest.raises(ConfigError, match='pip install embreex'):
        EmbreeTriangles(TRIANGLE)

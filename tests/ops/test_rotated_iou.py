from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import mono_distill
from mono_distill.ops import rotated_iou_bev
from mono_distill.utils.errors import ConfigError, NonFiniteError, ShapeError


def random_boxes(rng: np.random.Generator, count: int, spread: float = 3.0) -> np.ndarray:
    """Overlapping boxes somewhere in front of a KITTI camera, of every heading and of car-like to pole-like shape."""
    boxes = rng.uniform([-spread, -spread, 0.1, 0.1, -7.0], [spread, spread, 6.0, 3.0, 7.0], size=(count, 5))
    return boxes + [12.0, 45.0, 0.0, 0.0, 0.0]


def polygon(box: np.ndarray):
    """The same rectangle for shapely, straight from KITTI's definition of ``rotation_y``."""
    geometry = pytest.importorskip('shapely.geometry')
    x, z, length, width, angle = box
    corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * [length / 2, width / 2]
    c, s = np.cos(angle), np.sin(angle)
    return geometry.Polygon([(x + c * a + s * b, z - s * a + c * b) for a, b in corners])


@pytest.mark.parametrize('criterion', [-1, 0, 1, 2])
def test_equals_shapely(criterion: int):
    rng = np.random.default_rng(3)
    boxes, queries = random_boxes(rng, 60), random_boxes(rng, 50)
    shapes, query_shapes = [polygon(box) for box in boxes], [polygon(box) for box in queries]
    expected = np.zeros((60, 50))
    for n, shape in enumerate(shapes):
        for k, query in enumerate(query_shapes):
            shared = shape.intersection(query).area
            whole = {-1: shape.area + query.area - shared, 0: shape.area, 1: query.area, 2: 1.0}[criterion]
            expected[n, k] = shared / whole
    assert (expected > 0).mean() > 0.3
    np.testing.assert_allclose(rotated_iou_bev(boxes, queries, criterion), expected, atol=1e-12, rtol=0)


def test_identical_boxes_have_an_overlap_of_exactly_one():
    boxes = random_boxes(np.random.default_rng(0), 500, spread=60.0)
    assert (np.diag(rotated_iou_bev(boxes, boxes)) == 1.0).all()


@pytest.mark.parametrize('turn', [np.pi, -np.pi, 2 * np.pi])
def test_half_and_full_turns_are_the_same_box(turn: float):
    boxes = random_boxes(np.random.default_rng(1), 100)
    turned = boxes + [0.0, 0.0, 0.0, 0.0, turn]
    np.testing.assert_allclose(np.diag(rotated_iou_bev(boxes, turned)), 1.0, atol=1e-12, rtol=0)


def test_a_quarter_turn_swaps_length_and_width():
    boxes = random_boxes(np.random.default_rng(2), 100)
    swapped = boxes[:, [0, 1, 3, 2, 4]] + [0.0, 0.0, 0.0, 0.0, np.pi / 2]
    np.testing.assert_allclose(np.diag(rotated_iou_bev(boxes, swapped)), 1.0, atol=1e-12, rtol=0)


def test_a_positive_angle_turns_from_x_away_from_z():
    """``rotation_y`` of KITTI: at +45 degrees the front of the box points to (x, -z)."""
    box = np.array([[0.0, 0.0, 10.0, 0.2, np.pi / 4]])
    front_right = np.array([[3.0, -3.0, 1.0, 1.0, 0.0]])
    front_left = np.array([[3.0, 3.0, 1.0, 1.0, 0.0]])
    assert rotated_iou_bev(box, front_right)[0, 0] > 0
    assert rotated_iou_bev(box, front_left)[0, 0] == 0


def test_is_symmetric():
    rng = np.random.default_rng(4)
    boxes, queries = random_boxes(rng, 80), random_boxes(rng, 80)
    np.testing.assert_allclose(rotated_iou_bev(boxes, queries), rotated_iou_bev(queries, boxes).T, atol=1e-13, rtol=0)


def test_a_box_within_another_is_covered_whole():
    outer, inner = np.array([[1.0, 2.0, 8.0, 8.0, 0.4]]), np.array([[1.5, 1.8, 1.0, 2.0, 1.3]])
    assert rotated_iou_bev(inner, outer, 0) == pytest.approx(1.0, abs=1e-14)
    assert rotated_iou_bev(outer, inner, 2) == pytest.approx(2.0, abs=1e-14)


def test_touching_boxes_do_not_overlap():
    boxes = np.array([[0.0, 0.0, 4.0, 2.0, 0.0]])
    touching = np.array([[4.0, 0.0, 4.0, 2.0, 0.0], [0.0, 2.0, 4.0, 2.0, 0.0], [4.0, 2.0, 4.0, 2.0, 0.0]])
    assert (rotated_iou_bev(boxes, touching) == 0).all()


@pytest.mark.parametrize('criterion', [-1, 0, 1, 2])
def test_boxes_without_area_overlap_nothing(criterion: int):
    """DontCare regions of KITTI have sides of -1 at -1000 m."""
    flat = np.array(
        [[0, 0, 0, 2, 0.1], [0, 0, 3, 0, 0.1], [0, 0, -1, -1, -10], [-1000, -1000, -1, -1, -10]], dtype=float
    )
    whole = np.array([[0, 0, 4, 2, 0.2]])
    assert (rotated_iou_bev(flat, whole, criterion) == 0).all()
    assert (rotated_iou_bev(whole, flat, criterion) == 0).all()
    assert (rotated_iou_bev(flat, flat, criterion) == 0).all()


@pytest.mark.parametrize(('count', 'queries'), [(0, 3), (3, 0), (0, 0)])
def test_no_boxes_give_an_empty_matrix(count: int, queries: int):
    assert rotated_iou_bev(np.zeros((count, 5)), np.zeros((queries, 5))).shape == (count, queries)


def test_is_exact_for_nearly_identical_boxes():
    """Edges that nearly coincide are where clipping can go wrong; the true overlap is known to first order."""
    boxes = random_boxes(np.random.default_rng(5), 200)
    for noise in (1e-15, 1e-12, 1e-9, 1e-6):
        moved = boxes + np.random.default_rng(6).normal(size=boxes.shape) * noise
        overlap = np.diag(rotated_iou_bev(boxes, moved))
        assert (overlap <= 1.0 + 1e-12).all()
        assert (overlap >= 1.0 - 400 * noise - 1e-12).all()


def test_tensors_give_tensors_of_their_dtype():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 2.0, 0.3]], requires_grad=True)
    result = rotated_iou_bev(boxes, boxes)
    assert result.dtype == torch.float32
    assert result.item() == 1.0
    assert not result.requires_grad
    assert rotated_iou_bev(torch.tensor([[0, 0, 4, 2, 0]]), torch.tensor([[1, 0, 4, 2, 0]])).item() == 0.6


def test_refuses_boxes_of_another_shape():
    with pytest.raises(ShapeError, match=r'query_boxes must be \(N, 5\).*got shape \(1, 7\)'):
        rotated_iou_bev(np.zeros((1, 5)), np.zeros((1, 7)))


def test_refuses_numbers_that_are_not_finite():
    boxes = np.ones((3, 5))
    boxes[1, 4] = np.nan
    with pytest.raises(NonFiniteError, match='boxes must be finite, but row 1 is'):
        rotated_iou_bev(boxes, np.ones((1, 5)))


def test_refuses_an_unknown_criterion():
    with pytest.raises(ConfigError, match='criterion must be one of'):
        rotated_iou_bev(np.ones((1, 5)), np.ones((1, 5)), 3)


def run_python(code: str, **env: str) -> str:
    root = str(Path(mono_distill.__file__).parents[1])
    environment = {**os.environ, 'PYTHONPATH': root, **env}
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_the_ops_does_not_import_numba():
    code = 'import mono_distill.ops, sys; print("numba" in sys.modules, "mmdet3d" in sys.modules)'
    assert run_python(code).split() == ['False', 'False']


def test_says_what_to_install_without_numba():
    code = (
        'import sys; sys.modules["numba"] = None\n'
        'import numpy as np\n'
        'from mono_distill.ops import rotated_iou_bev\n'
        'try: rotated_iou_bev(np.ones((1, 5)), np.ones((1, 5)))\n'
        'except ValueError as error: print(error)'
    )
    assert 'pip install numba' in run_python(code)


def test_works_where_no_cache_directory_can_be_written(tmp_path: Path):
    """numba raises for ``cache=True`` in a read-only container; the kernel is then compiled without."""
    ops = Path(mono_distill.__file__).parent / 'ops'
    shutil.copy(ops / '_rotated_iou_kernel.py', tmp_path / 'kernel_copy.py')
    code = (
        f'import sys; sys.path.insert(0, {str(tmp_path)!r})\n'
        'import numpy as np\n'
        'from numba.core import caching\n'
        'def refuse(self): raise OSError("read-only")\n'
        'caching._CacheLocator.ensure_cache_path = refuse\n'
        'import kernel_copy\n'
        'box = np.array([[0.0, 0.0, 4.0, 2.0, 0.3]])\n'
        'print(kernel_copy.rotated_overlaps(box, box, -1)[0, 0])\n'
        'print(type(kernel_copy.rotated_overlaps._cache).__name__)'
    )
    assert run_python(code).split() == ['1.0', 'NullCache']

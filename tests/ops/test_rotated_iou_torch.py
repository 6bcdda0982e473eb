import math

import pytest
import torch

from mono_distill.ops.rotated_iou import rotated_iou_bev
from mono_distill.ops.rotated_iou_torch import rotated_iou, rotated_iou_3d
from mono_distill.utils.errors import ShapeError


def random_boxes(count, seed=0, spread=3.0):
    """Overlapping boxes, of every heading and of car-like to pole-like shape, away from the origin."""
    low = torch.tensor([-spread, -spread, 0.1, 0.1, -7.0], dtype=torch.float64)
    high = torch.tensor([spread, spread, 6.0, 3.0, 7.0], dtype=torch.float64)
    boxes = low + (high - low) * torch.rand(
        count, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return boxes + torch.tensor([40.0, -12.0, 0.0, 0.0, 0.0])


def pairwise(boxes, others):
    return rotated_iou(boxes[:, None], others[None])


def clipped(boxes, others):
    """By polygon clipping, in a frame whose angle turns the other way."""
    mirror = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0], dtype=boxes.dtype)
    return rotated_iou_bev(boxes * mirror, others * mirror)


def test_equals_polygon_clipping():
    boxes, others = random_boxes(120), random_boxes(90, seed=1)
    actual, expected = pairwise(boxes, others), clipped(boxes, others)
    assert (expected > 0).double().mean() > 0.3
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-14)
    assert torch.equal(actual > 0, expected > 0)


def test_equals_shapely():
    geometry = pytest.importorskip('shapely.geometry')

    def polygon(x, y, dx, dy, yaw):
        c, s = math.cos(yaw), math.sin(yaw)
        corners = [(dx / 2, dy / 2), (-dx / 2, dy / 2), (-dx / 2, -dy / 2), (dx / 2, -dy / 2)]
        return geometry.Polygon([(x + c * a - s * b, y + s * a + c * b) for a, b in corners])

    boxes, others = random_boxes(20), random_boxes(20, seed=1)
    for box, other, iou in zip(boxes.tolist(), others.tolist(), rotated_iou(boxes, others).tolist(), strict=True):
        one, two = polygon(*box), polygon(*other)
        assert iou == pytest.approx(one.intersection(two).area / one.union(two).area, abs=1e-12)


def test_identical_boxes_have_an_overlap_of_exactly_one():
    for dtype in (torch.float32, torch.float64):
        boxes = random_boxes(300, spread=60.0).to(dtype)
        assert (rotated_iou(boxes, boxes) == 1).all()


@pytest.mark.parametrize('noise', [1e-15, 1e-12, 1e-9, 1e-6])
def test_is_exact_for_edges_that_nearly_coincide(noise):
    boxes = random_boxes(300)
    moved = boxes + noise * torch.randn(300, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(rotated_iou(boxes, moved), clipped(boxes, moved).diagonal(), rtol=0, atol=1e-13)


@pytest.mark.parametrize(('turn', 'swap'), [(math.pi, False), (2 * math.pi, False), (math.pi / 2, True)])
def test_turns_that_give_the_same_rectangle(turn, swap):
    boxes = random_boxes(100)
    turned = boxes[:, [0, 1, 3, 2, 4]] if swap else boxes.clone()
    turned[:, 4] += turn
    torch.testing.assert_close(rotated_iou(boxes, turned), torch.ones(100, dtype=torch.float64), rtol=0, atol=1e-13)


def test_is_symmetric_and_does_not_depend_on_the_frame():
    boxes, others = random_boxes(60), random_boxes(60, seed=1)
    torch.testing.assert_close(pairwise(boxes, others), pairwise(others, boxes).T, rtol=0, atol=1e-14)
    angle = 1.1
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)

    def moved(x):
        return torch.cat([x[:, :2] @ turn.T + 5, x[:, 2:4], x[:, 4:] + angle], 1)

    torch.testing.assert_close(pairwise(moved(boxes), moved(others)), pairwise(boxes, others), rtol=0, atol=1e-12)


def test_touching_flat_and_distant_boxes_do_not_overlap():
    box = torch.tensor([0.0, 0.0, 4.0, 2.0, 0.0])
    others = torch.tensor(
        [
            [4.0, 0.0, 4.0, 2.0, 0.0],
            [4.0, 2.0, 4.0, 2.0, 0.0],
            [0.0, 0.0, 0.0, 2.0, 0.1],
            [0.0, 0.0, 3.0, -1.0, 0.1],
            [1e5, 1e5, 4.0, 2.0, 0.3],
        ]
    )
    assert not rotated_iou(box, others).any()
    assert not rotated_iou(others, box).any()
    assert not rotated_iou(others[2:4], others[2:4]).any()


def test_gradient_equals_finite_differences():
    boxes, others = random_boxes(20).requires_grad_(), random_boxes(20, seed=1).requires_grad_()
    assert (rotated_iou(boxes, others) > 0).sum() > 5
    assert torch.autograd.gradcheck(rotated_iou, (boxes, others))


def test_gradient_is_finite_for_parallel_flat_and_distant_boxes():
    boxes = torch.tensor(
        [[0.0, 0.0, 4.0, 2.0, 0.0], [0.0, 0.0, 4.0, 2.0, 1e-7], [0.0, 0.0, 0.0, 0.0, 0.0], [1e5, 0.0, 4.0, 2.0, 1.0]]
    ).requires_grad_()
    rotated_iou(boxes, torch.tensor([0.1, 0.2, 4.0, 2.0, 0.0])).sum().backward()
    assert boxes.grad.isfinite().all()
    assert boxes.grad.abs().max() < 10


def test_moving_along_the_gradient_makes_the_overlap_larger():
    boxes, others = random_boxes(50).requires_grad_(), random_boxes(50, seed=1)
    before = rotated_iou(boxes, others)
    (gradient,) = torch.autograd.grad(before.sum(), boxes)
    after = rotated_iou(boxes + 1e-3 * gradient, others)
    assert after.sum() > before.sum()


def test_three_dimensions_equal_the_ground_plane_times_the_height():
    flat, other_flat = random_boxes(50), random_boxes(50, seed=1)
    generator = torch.Generator().manual_seed(3)
    z, other_z = (torch.rand(50, 2, dtype=torch.float64, generator=generator) + 0.5 for _ in range(2))

    def lifted(boxes, heights):
        return torch.cat([boxes[:, :2], heights[:, :1], boxes[:, 2:4], heights[:, 1:], boxes[:, 4:]], 1)

    plane = rotated_iou(flat, other_flat)
    areas, other_areas = flat[:, 2:4].prod(1), other_flat[:, 2:4].prod(1)
    shared = plane / (1 + plane) * (areas + other_areas)
    top = torch.minimum(z.sum(1) - z[:, 1] / 2, other_z.sum(1) - other_z[:, 1] / 2)
    bottom = torch.maximum(z[:, 0] - z[:, 1] / 2, other_z[:, 0] - other_z[:, 1] / 2)
    volume = shared * (top - bottom).clamp(min=0)
    expected = volume / (areas * z[:, 1] + other_areas * other_z[:, 1] - volume)
    torch.testing.assert_close(rotated_iou_3d(lifted(flat, z), lifted(other_flat, other_z)), expected)


def test_boxes_above_each_other_do_not_overlap():
    box = torch.tensor([0.0, 0.0, 0.0, 4.0, 2.0, 1.5, 0.3])
    assert rotated_iou_3d(box, box + torch.tensor([0, 0, 1.5, 0, 0, 0, 0])) == 0
    assert rotated_iou_3d(box, box) == 1


def test_shapes_broadcast_and_nothing_gives_nothing():
    assert rotated_iou(torch.zeros(2, 5, 1, 5), torch.zeros(4, 5)).shape == (2, 5, 4)
    assert rotated_iou(torch.zeros(0, 1, 5), torch.zeros(1, 3, 5)).shape == (0, 3)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    boxes = random_boxes(5).to(dtype)
    assert rotated_iou(boxes, boxes).dtype == torch.float32
    assert torch.equal(rotated_iou(boxes, boxes[:1]), rotated_iou(boxes.float(), boxes[:1].float()))


@pytest.mark.parametrize('function', [rotated_iou, rotated_iou_3d])
def test_graph_is_captured_whole_and_no_value_is_read(function):
    columns = 5 if function is rotated_iou else 7
    boxes = torch.rand(6, columns, dtype=torch.float64) + 0.5
    compiled = torch.compile(function, fullgraph=True, backend='aot_eager')
    torch.testing.assert_close(compiled(boxes, boxes[:1]), function(boxes, boxes[:1]))
    assert function(torch.zeros(6, columns, device='meta'), torch.zeros(1, columns, device='meta')).shape == (6,)


def test_refuses_boxes_of_another_shape():
    with pytest.raises(ShapeError, match=r'rotated_iou: .* expected \(\.\.\., 5\)'):
        rotated_iou(torch.zeros(2, 7), torch.zeros(2, 5))
    with pytest.raises(ShapeError, match=r'rotated_iou_3d: .* expected \(\.\.\., 7\)'):
        rotated_iou_3d(torch.zeros(2, 5), torch.zeros(2, 7))

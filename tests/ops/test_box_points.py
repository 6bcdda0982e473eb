import math

import pytest
import torch

from mono_distill.ops.box_points import bev_key_points
from mono_distill.utils.errors import ShapeError


def box(x=0.0, y=0.0, dx=4.0, dy=2.0, yaw=0.0):
    return torch.tensor([[[x, y, 0.3, dx, dy, 1.5, yaw]]], dtype=torch.float64)


def test_points_of_a_box_along_x():
    expected = [(2, 1), (-2, 1), (-2, -1), (2, -1), (0, 1), (-2, 0), (0, -1), (2, 0), (0, 0)]
    assert bev_key_points(box())[0, 0].tolist() == [[float(a), float(b)] for a, b in expected]


def test_a_quarter_turn_points_the_front_along_y():
    front = bev_key_points(box(x=10.0, y=-3.0, yaw=math.pi / 2))[0, 0, 7]
    torch.testing.assert_close(front, torch.tensor([10.0, -1.0], dtype=torch.float64))


def test_turning_the_box_about_the_origin_turns_its_points():
    angle = 0.7
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    centre = turn @ torch.tensor([5.0, 2.0], dtype=torch.float64)
    turned = box(*centre.tolist(), yaw=0.4 + angle)
    torch.testing.assert_close(bev_key_points(turned), bev_key_points(box(5.0, 2.0, yaw=0.4)) @ turn.T)


def test_middles_lie_between_the_corners_that_they_follow():
    points = bev_key_points(box(1.0, 2.0, 3.9, 1.6, 0.3))[0, 0]
    torch.testing.assert_close(points[4:8], (points[:4] + points[:4].roll(-1, 0)) / 2)
    torch.testing.assert_close(points[8], points[:4].mean(0))


def test_corners_are_those_of_mmdet3d():
    structures = pytest.importorskip('mmdet3d.structures')
    boxes = torch.randn(20, 7, generator=torch.Generator().manual_seed(0)).abs() + torch.tensor([0, 0, 0, 1, 1, 1, 0])
    boxes[:, 6] *= 3
    expected = structures.LiDARInstance3DBoxes(boxes, origin=(0.5, 0.5, 0.5)).corners[..., :2]
    corners = bev_key_points(boxes.unsqueeze(0))[0, :, :4]
    distance = torch.cdist(corners, expected).amin(2)
    assert distance.max() < 1e-4


def test_more_columns_and_other_leading_dimensions_are_fine():
    boxes = torch.randn(2, 3, 4, 9)
    assert bev_key_points(boxes).shape == (2, 3, 4, 9, 2)
    assert bev_key_points(torch.zeros(2, 0, 7)).shape == (2, 0, 9, 2)


def test_gradient_equals_finite_differences():
    assert torch.autograd.gradcheck(bev_key_points, (box(1.0, 2.0, yaw=0.4).requires_grad_(),))


def test_refuses_too_few_columns():
    with pytest.raises(ShapeError, match=r'boxes \(B, N, 7\)'):
        bev_key_points(torch.zeros(1, 2, 5))

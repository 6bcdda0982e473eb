"""Tests of mono_distill.losses.sine_box."""

import math

import pytest
import torch

from mono_distill.losses.sine_box import YAW, sine_smooth_l1


def codes(size=7):
    return torch.randn(20, size, dtype=torch.float64), torch.randn(20, size, dtype=torch.float64)


@pytest.mark.parametrize('size', [7, 9])
def test_every_entry_is_what_the_formula_says(size):
    student, teacher = codes(size)
    student[0, 0] = teacher[0, 0] + 0.05  # inside the bend
    result = sine_smooth_l1(student, teacher)
    for i in range(20):
        for j in range(size):
            d = (student[i, j] - teacher[i, j]).item()
            d = abs(math.sin(d) if j == 6 else d)
            expected = d * d * 9 / 2 if d < 1 / 9 else d - 1 / 18
            assert result[i, j].item() == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_loss_and_gradient_are_those_of_the_products_of_second():
    head = pytest.importorskip('mmdet3d.models.dense_heads.anchor3d_head').Anchor3DHead
    student, teacher = codes()
    student.requires_grad_()
    ours = sine_smooth_l1(student, teacher)
    theirs = torch.nn.functional.smooth_l1_loss(
        *head.add_sin_difference(student, teacher), reduction='none', beta=1 / 9
    )
    torch.testing.assert_close(ours, theirs)
    weights = torch.rand_like(ours)
    gradients = [torch.autograd.grad((loss * weights).sum(), student)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients)


def test_a_box_turned_by_half_a_circle_costs_nothing():
    student, _ = codes()
    teacher = student.clone()
    teacher[:, YAW] += math.pi
    assert sine_smooth_l1(student, teacher).abs().max() < 1e-24


def test_entries_may_run_along_any_dimension():
    student, teacher = (x.view(2, 2, 5, 7) for x in codes())
    expected = sine_smooth_l1(student, teacher).movedim(3, 1)
    torch.testing.assert_close(sine_smooth_l1(student.movedim(3, 1), teacher.movedim(3, 1), dim=1), expected)


def test_inputs_are_left_as_they_are():
    student, teacher = codes()
    kept = student.clone(), teacher.clone()
    sine_smooth_l1(student, teacher)
    assert torch.equal(student, kept[0])
    assert torch.equal(teacher, kept[1])

"""Tests of mono_distill.losses.channel_mean_l1."""

import pytest
import torch

from mono_distill.losses.channel_mean_l1 import channel_mean_l1_loss
from mono_distill.utils.errors import ShapeError


def test_equals_the_formula_written_out():
    student, teacher = torch.randn(2, 2, 5, 3, 4, dtype=torch.float64)
    total = 0.0
    for b in range(2):
        for y in range(3):
            for x in range(4):
                total += abs(sum(student[b, :, y, x].tolist()) / 5 - sum(teacher[b, :, y, x].tolist()) / 5)
    assert channel_mean_l1_loss(student, teacher).item() == pytest.approx(total / 2)


def test_a_student_of_one_channel_is_its_own_mean():
    student, teacher = torch.randn(2, 1, 3, 4), torch.randn(2, 5, 3, 4)
    expected = channel_mean_l1_loss(student.expand(-1, 5, -1, -1), teacher)
    torch.testing.assert_close(channel_mean_l1_loss(student, teacher), expected)


@pytest.mark.parametrize('shape', [(2, 4, 3, 4), (2, 5, 4, 3), (1, 5, 3, 4), (2, 5, 3)])
def test_maps_that_do_not_fit_are_named(shape):
    with pytest.raises(ShapeError, match='expected maps'):
        channel_mean_l1_loss(torch.zeros(shape), torch.zeros(2, 5, 3, 4))

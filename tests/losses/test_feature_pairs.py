"""Tests of mono_distill.losses.feature_pairs."""

import pytest
import torch

from mono_distill.losses.feature_pairs import full_precision, paired_levels
from mono_distill.utils.errors import ShapeError


def test_one_map_is_one_level():
    assert len(paired_levels(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4), loss='demo')) == 1


@pytest.mark.parametrize(
    ('dtype', 'expected'),
    [(torch.float16, torch.float32), (torch.bfloat16, torch.float32), (torch.float64, torch.float64)],
)
def test_half_precision_is_raised_and_double_kept(dtype, expected):
    [(student, teacher)] = paired_levels(
        torch.zeros(1, 2, 3, 4, dtype=dtype), torch.zeros(1, 2, 3, 4, dtype=dtype), loss=''
    )
    assert student.dtype == teacher.dtype == expected


def test_only_the_teacher_is_detached():
    features = torch.zeros(1, 2, 3, 4, requires_grad=True)
    [(student, teacher)] = paired_levels(features, features, loss='demo')
    assert student.requires_grad
    assert not teacher.requires_grad


def test_autocast_is_off_inside_full_precision():
    a = torch.randn(4, 4)
    with torch.autocast('cpu', dtype=torch.bfloat16), full_precision(a):
        assert (a @ a).dtype == torch.float32


@pytest.mark.parametrize(
    ('student', 'teacher', 'message'),
    [
        ((1, 64, 4, 6), (1, 32, 4, 6), r'demo: level 0: student \(1, 64, 4, 6\) and teacher \(1, 32, 4, 6\) differ'),
        ((1, 64, 4, 6), (1, 32, 4, 6), 'add an adapter that maps 64 to 32 channels'),
        ((1, 64, 4, 6), (1, 64, 2, 3), 'tap levels of the same stride, or resize one of them in an adapter'),
        ((2, 64, 4, 6), (1, 64, 4, 6), 'both must see the same batch'),
        ((64, 4, 6), (64, 4, 6), r'expected feature maps of shape \(B, C, H, W\)'),
    ],
)
def test_maps_that_differ_are_named_with_a_remedy(student, teacher, message):
    with pytest.raises(ShapeError, match=message):
        paired_levels(torch.zeros(student), torch.zeros(teacher), loss='demo')


def test_a_loss_of_relations_takes_any_channels_and_nothing_else():
    (pair,) = paired_levels(torch.zeros(1, 64, 4, 6), torch.zeros(1, 32, 4, 6), loss='demo', same_width=False)
    assert [x.shape[1] for x in pair] == [64, 32]
    with pytest.raises(ShapeError, match='tap levels of the same stride'):
        paired_levels(torch.zeros(1, 64, 4, 6), torch.zeros(1, 32, 2, 3), loss='demo', same_width=False)


@pytest.mark.parametrize(('student', 'teacher'), [(2, 3), (0, 0)])
def test_levels_must_agree_in_number(student, teacher):
    level = torch.zeros(1, 2, 3, 4)
    with pytest.raises(ShapeError, match=f'the student has {student} levels and the teacher {teacher}'):
        paired_levels([level] * student, [level] * teacher, loss='demo')

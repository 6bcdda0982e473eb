"""Tests of mono_distill.losses.padded_pairs."""

import pytest
import torch

from mono_distill.losses.padded_pairs import paired_slots
from mono_distill.utils.errors import ShapeError


def pair(student, teacher, valid=None, axes='B, N, C', **options):
    return paired_slots(student, teacher, valid, axes=axes, loss='demo', **options)


def test_without_a_mask_every_slot_is_valid():
    assert pair(torch.ones(2, 3, 4), torch.ones(2, 3, 4))[2].tolist() == [[True] * 3] * 2


def test_invalid_slots_become_zero_and_send_no_gradient():
    student = torch.tensor([[[1.0], [float('nan')]]], requires_grad=True)
    s, t, _ = pair(student, student, torch.tensor([[True, False]]))
    ((s - t + 1) ** 2).sum().backward()
    assert s.tolist() == [[[1.0], [0.0]]]
    assert student.grad.tolist() == [[[2.0], [0.0]]]


@pytest.mark.parametrize(
    ('dtype', 'expected'),
    [(torch.float16, torch.float32), (torch.bfloat16, torch.float32), (torch.float64, torch.float64)],
)
def test_half_precision_is_raised_and_double_kept(dtype, expected):
    s, t, _ = pair(torch.ones(1, 2, 3, dtype=dtype), torch.ones(1, 2, 3))
    assert s.dtype == t.dtype == expected


def test_the_teacher_is_detached_unless_asked_otherwise():
    features = torch.ones(1, 2, 3, requires_grad=True)
    assert not pair(features, features)[1].requires_grad
    assert pair(features, features, detach_teacher=False)[1].requires_grad


@pytest.mark.parametrize(
    ('shape', 'axes'),
    [((1, 2, 4), 'B, N, C'), ((2, 2, 3), 'B, N, C'), ((1, 2, 3), 'B, N, K, C')],
)
def test_shapes_that_do_not_fit_are_named(shape, axes):
    with pytest.raises(ShapeError, match=rf'demo: student \(1, 2, 3\) and teacher .* expected both as \({axes}\)'):
        pair(torch.ones(1, 2, 3), torch.ones(shape), axes=axes)


def test_only_the_last_axis_may_differ_where_asked():
    s, t, _ = pair(torch.ones(1, 2, 3), torch.ones(1, 2, 5), same_width=False)
    assert (s.shape[2], t.shape[2]) == (3, 5)
    with pytest.raises(ShapeError, match=r'the same slots on both sides\.$'):
        pair(torch.ones(1, 2, 3), torch.ones(1, 3, 5), same_width=False)


@pytest.mark.parametrize('valid', [torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 2)])
def test_a_mask_that_does_not_fit_is_named(valid):
    with pytest.raises(ShapeError, match=r'demo: valid is .* expected bool \(1, 2\)'):
        pair(torch.ones(1, 2, 3), torch.ones(1, 2, 3), valid)

"""Tests of mono_distill.losses.partial_mse."""

import torch

from mono_distill.losses import masked
from mono_distill.losses.partial_mse import partial_mse_loss


def literal(student, teacher, valid):
    total = 0.0
    for b, n in valid.nonzero().tolist():
        for s, t in zip(student[b, n].tolist(), teacher[b, n].tolist(), strict=True):
            if s > t or t > 0:
                total += (s - t) ** 2
    return total / max(int(valid.sum()), 1)


def test_equals_the_formula_written_out():
    student, teacher = torch.randn(2, 3, 4, 7, dtype=torch.float64)
    valid = torch.rand(3, 4) > 0.3
    expected = torch.tensor(literal(student, teacher, valid), dtype=torch.float64)
    torch.testing.assert_close(partial_mse_loss(student, teacher, valid), expected)


def test_only_a_student_below_a_negative_teacher_is_spared():
    teacher = torch.tensor([[[-1.0, -1.0, 1.0, 1.0, 0.0]]])
    student = torch.tensor([[[-2.0, 0.5, 0.0, 2.0, -1.0]]], requires_grad=True)
    partial_mse_loss(student, teacher).backward()
    assert student.grad.tolist() == [[[0.0, 3.0, -2.0, 2.0, 0.0]]]


def test_without_a_negative_teacher_it_is_the_squared_error_of_the_points():
    student, teacher = torch.randn(2, 3, 7), torch.rand(2, 3, 7) + 0.1
    expected = (student - teacher).square().sum(2).mean()
    torch.testing.assert_close(partial_mse_loss(student, teacher), expected)


def test_layers_may_be_concatenated():
    layers = [torch.randn(2, 1, 4, 5) for _ in range(6)]
    separate = torch.stack([partial_mse_loss(*layer) for layer in layers]).sum()
    together = partial_mse_loss(*torch.cat(layers, 2))
    torch.testing.assert_close(6 * together, separate)


def test_invalid_slots_may_hold_anything():
    student, teacher = torch.randn(2, 1, 3, 4)
    valid = torch.tensor([[True, False, True]])
    expected = partial_mse_loss(student, teacher, valid)
    student[0, 1], teacher[0, 1] = float('nan'), float('inf')
    assert partial_mse_loss(student, teacher, valid) == expected


def test_points_are_counted_over_all_processes(monkeypatch):
    student, teacher = torch.randn(2, 1, 3, 4)
    expected = partial_mse_loss(student, teacher) / 2
    monkeypatch.setattr(masked, 'all_reduce', lambda counts, op: counts.mul_(2))
    torch.testing.assert_close(partial_mse_loss(student, teacher), expected)

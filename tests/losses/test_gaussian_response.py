"""Tests of mono_distill.losses.gaussian_response."""

import math

import pytest
import torch

from mono_distill.losses import masked
from mono_distill.losses.gaussian_response import (
    GaussianResponseLoss,
    gaussian_response_loss,
    gaussian_response_terms,
)
from mono_distill.utils.errors import ConfigError, ShapeError


def task(classes, **regression):
    return {
        name: torch.randn(2, channels, 3, 4, dtype=torch.float64)
        for name, channels in dict(heatmap=classes, **regression).items()
    }


def example():
    """Two tasks, of which the second predicts a velocity too."""
    sides = [[task(2, reg=2, dim=3), task(3, reg=2, vel=2)] for _ in range(2)]
    return *sides, torch.rand(2, 3, 4).round(decimals=1)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def literal(student, teacher, mask, temperature):
    cls = reg = 0.0
    for b, y, x in mask.nonzero().tolist():
        ours = max(sigmoid(z) for head in student for z in head['heatmap'][b, :, y, x].tolist())
        theirs = max(sigmoid(z / temperature) for head in teacher for z in head['heatmap'][b, :, y, x].tolist())
        differences = []
        for s, t in zip(student, teacher, strict=True):
            for name in s:
                if name != 'heatmap':
                    differences += (s[name][b, :, y, x] - t[name][b, :, y, x]).abs().tolist()
        weight = float(mask[b, y, x])
        cls += weight * abs(ours - theirs)
        reg += weight * sum(differences) / len(differences)
    return cls / float(mask.sum()), reg / float(mask.sum())


@pytest.mark.parametrize('temperature', [1.0, 2.0])
def test_equals_the_formula_written_out(temperature):
    student, teacher, mask = example()
    terms = gaussian_response_terms(student, teacher, mask, teacher_temperature=temperature)
    cls, reg = literal(student, teacher, mask, temperature)
    assert terms['cls'].item() == pytest.approx(cls, rel=1e-6)
    assert terms['reg'].item() == pytest.approx(reg, rel=1e-6)
    loss = gaussian_response_loss(student, teacher, mask, teacher_temperature=temperature)
    assert loss.item() == pytest.approx(cls + reg, rel=1e-6)


def test_released_temperature_softens_the_teacher_only():
    head, mask = dict(heatmap=torch.full((1, 1, 1, 1), 2.0), reg=torch.zeros(1, 2, 1, 1)), torch.ones(1, 1, 1)
    assert gaussian_response_loss(head, head, mask) == 0
    released = GaussianResponseLoss(teacher_temperature=2.0)(head, head, mask)
    assert released.item() == pytest.approx(sigmoid(2.0) - sigmoid(1.0), rel=1e-5)


def test_one_task_needs_no_list():
    student, teacher, mask = example()
    expected = gaussian_response_loss(student[:1], teacher[:1], mask)
    assert gaussian_response_loss(student[0], teacher[0], mask) == expected


def test_gradient_stays_within_the_mask():
    student, teacher, mask = example()
    student[0]['reg'].requires_grad_()
    (gradient,) = torch.autograd.grad(gaussian_response_loss(student, teacher, mask), student[0]['reg'])
    assert torch.equal(gradient.abs().sum(1) > 0, mask > 0)


def test_only_the_winning_class_receives_a_gradient():
    student, teacher, mask = example()
    for head in student:
        head['heatmap'].requires_grad_()
    heatmaps = [head['heatmap'] for head in student]
    gradients = torch.autograd.grad(gaussian_response_loss(student, teacher, torch.ones_like(mask)), heatmaps)
    touched = torch.cat(gradients, 1) != 0
    assert torch.equal(touched.int().argmax(1), torch.cat(heatmaps, 1).argmax(1))
    assert (touched.sum(1) == 1).all()


def test_maps_that_only_the_teacher_has_are_not_read():
    student, teacher, mask = example()
    expected = gaussian_response_loss(student, teacher, mask)
    teacher[0]['iou'] = torch.full((2, 1, 3, 4), float('nan'))
    assert gaussian_response_loss(student, teacher, mask) == expected


def test_heads_are_left_as_they_are():
    student, teacher, mask = example()
    gaussian_response_loss(student, teacher, mask)
    assert list(student[0]) == ['heatmap', 'reg', 'dim']


def test_masks_are_summed_over_all_processes(monkeypatch):
    student, teacher, mask = example()
    expected = gaussian_response_loss(student, teacher, mask) / 2
    monkeypatch.setattr(masked, 'all_reduce', lambda counts, op: counts.mul_(2))
    torch.testing.assert_close(gaussian_response_loss(student, teacher, mask), expected)


def test_what_does_not_fit_is_named():
    student, teacher, mask = example()
    with pytest.raises(ShapeError, match='the student has 2 tasks and the teacher 1'):
        gaussian_response_loss(student, teacher[:1], mask)
    with pytest.raises(ConfigError, match="teacher: needs 'vel', got only: dim, heatmap, reg"):
        gaussian_response_loss(student, [teacher[0], teacher[0] | {'heatmap': teacher[1]['heatmap']}], mask)
    with pytest.raises(ShapeError, match=r"teacher: 'heatmap' has shape \(2, 3, 3, 4\), expected \(2, 2, 3, 4\)"):
        gaussian_response_loss(student, teacher[::-1], mask)
    with pytest.raises(ShapeError, match=r'mask has shape \(2, 3, 3\), expected \(2, 3, 4\)'):
        gaussian_response_loss(student, teacher, mask[..., :3])
    with pytest.raises(ConfigError, match="no map besides 'heatmap'"):
        gaussian_response_loss(task(2), task(2), mask)


def test_a_temperature_of_zero_is_refused_when_built():
    with pytest.raises(ConfigError, match='teacher_temperature must be positive, got 0'):
        GaussianResponseLoss(teacher_temperature=0)


def test_only_the_proportions_of_the_mask_count():
    student, teacher, mask = example()
    loss = gaussian_response_loss(student, teacher, mask)
    torch.testing.assert_close(gaussian_response_loss(student, teacher, 1e-4 * mask), loss)


def test_a_center_head_may_put_a_list_around_every_task():
    student, teacher, mask = example()
    listed = [tuple([task] for task in head) for head in (student, teacher)]
    torch.testing.assert_close(gaussian_response_loss(*listed, mask), gaussian_response_loss(student, teacher, mask))


def test_a_student_whose_heatmap_passed_its_sigmoid_is_not_squashed_twice():
    student, teacher, mask = example()
    squashed = [{**task, 'heatmap': task['heatmap'].sigmoid()} for task in student]
    torch.testing.assert_close(
        gaussian_response_loss(squashed, teacher, mask, student_probabilities=True),
        gaussian_response_loss(student, teacher, mask),
    )

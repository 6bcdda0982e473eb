"""Tests of mono_distill.losses.scored_response."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from mono_distill.losses import masked
from mono_distill.losses.scored_response import ScoredResponseLoss, scored_response_loss
from mono_distill.utils.errors import ConfigError, ShapeError

VELOCITY = (1.0, 1.0, 1.0, 0.2)


def example():
    sides = [
        dict(
            logits=torch.randn(2, 5, 3, dtype=torch.float64) + 1,
            boxes=torch.randn(2, 5, 4, dtype=torch.float64),
        )
        for _ in range(2)
    ]
    return *sides, torch.tensor([[True, True, False, True, True], [False, True, True, False, False]])


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def literal(student, teacher, valid, class_weight, box_weight, code_weights, box_power):
    total = scores = 0.0
    for b, m in valid.nonzero().tolist():
        ours = [sigmoid(x) for x in student['logits'][b, m].tolist()]
        theirs = [sigmoid(x) for x in teacher['logits'][b, m].tolist()]
        score = max(theirs)
        divergence = sum(
            p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)) for p, q in zip(theirs, ours, strict=True)
        )
        codes = zip(student['boxes'][b, m].tolist(), teacher['boxes'][b, m].tolist(), code_weights, strict=True)
        distance = sum(w * abs(s - t) for s, t, w in codes)
        total += class_weight * score * divergence + box_weight * score**box_power * distance
        scores += score
    return total / max(scores, 1)


@pytest.mark.parametrize('released', [False, True])
def test_equals_the_formula_written_out(released):
    student, teacher, valid = example()
    options = dict(class_weight=0.0 if released else 1.0, box_weight=0.25, code_weights=VELOCITY)
    loss = scored_response_loss(student, teacher, valid, **options, squared_score=released)
    expected = literal(student, teacher, valid, **options, box_power=2 if released else 1)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_gradient_of_the_classes_is_that_of_the_binary_cross_entropy():
    student, teacher, _ = example()
    student['logits'].requires_grad_()
    scores = teacher['logits'].sigmoid().amax(2)
    soft = binary_cross_entropy_with_logits(student['logits'], teacher['logits'].sigmoid(), reduction='none').sum(2)
    expected = torch.autograd.grad((soft * scores).sum() / scores.sum(), student['logits'])
    loss = scored_response_loss(student, teacher, box_weight=0.0)
    torch.testing.assert_close(torch.autograd.grad(loss, student['logits']), expected, rtol=1e-6, atol=1e-8)


def test_hand_vector_of_the_divergence():
    # KL(0.8 || 0.5) of a yes or no.
    student = dict(logits=torch.zeros(1, 1, 1), boxes=torch.zeros(1, 1, 1))
    teacher = dict(logits=torch.full((1, 1, 1), math.log(4.0)), boxes=torch.zeros(1, 1, 1), scores=torch.ones(1, 1))
    assert scored_response_loss(student, teacher).item() == pytest.approx(0.19274, abs=1e-5)


def test_certain_logits_give_finite_numbers():
    student = dict(logits=torch.tensor([[[-200.0, 200.0]]], requires_grad=True), boxes=torch.zeros(1, 1, 1))
    teacher = dict(logits=torch.tensor([[[200.0, 200.0]]]), boxes=torch.zeros(1, 1, 1))
    loss = scored_response_loss(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(200.0)
    assert student['logits'].grad.tolist() == [[[-1.0, 0.0]]]


def test_given_scores_replace_the_certainty_of_the_teacher():
    student, teacher, valid = example()
    certainty = teacher['logits'].sigmoid().amax(2)
    given = scored_response_loss(student, {**teacher, 'scores': certainty}, valid)
    assert given == scored_response_loss(student, teacher, valid)
    nothing = {**teacher, 'scores': torch.zeros_like(certainty)}
    assert scored_response_loss(student, nothing, valid) == 0


def test_a_prediction_of_low_score_is_not_blown_up_by_the_divisor():
    student = dict(logits=torch.zeros(1, 1, 1), boxes=torch.zeros(1, 1, 2))
    teacher = dict(logits=torch.zeros(1, 1, 1), boxes=torch.ones(1, 1, 2), scores=torch.full((1, 1), 0.1))
    assert scored_response_loss(student, teacher, box_weight=1.0).item() == pytest.approx(0.1 * 2)


def test_invalid_slots_may_hold_anything():
    student, teacher, valid = example()
    teacher['scores'] = torch.rand(2, 5, dtype=torch.float64)
    expected = scored_response_loss(student, teacher, valid)
    for x in (*student.values(), *teacher.values()):
        x[~valid] = float('nan')
    for x in student.values():
        x.requires_grad_()
    loss = scored_response_loss(student, teacher, valid)
    loss.backward()
    assert loss == expected
    assert all(x.grad.isfinite().all() for x in student.values())


def test_scores_are_summed_over_all_processes(monkeypatch):
    student, teacher, valid = example()
    expected = scored_response_loss(student, teacher, valid) / 2
    monkeypatch.setattr(masked, 'all_reduce', lambda counts, op: counts.mul_(2))
    torch.testing.assert_close(scored_response_loss(student, teacher, valid), expected)


def test_what_does_not_fit_is_named():
    student, teacher, valid = example()
    with pytest.raises(ShapeError, match='3 code_weights for boxes of 4 codes'):
        scored_response_loss(student, teacher, valid, code_weights=(1.0,) * 3)
    with pytest.raises(ConfigError, match="teacher: needs 'boxes', got only: logits"):
        scored_response_loss(student, dict(logits=teacher['logits']), valid)
    with pytest.raises(ShapeError, match=r"teacher: 'boxes' has shape \(2, 4, 4\), expected \(2, 5, \*\)"):
        scored_response_loss(student, {**teacher, 'boxes': teacher['boxes'][:, :4]}, valid)
    with pytest.raises(ShapeError, match=r'scores has shape \(2, 4\), expected \(2, 5\)'):
        scored_response_loss(student, {**teacher, 'scores': torch.ones(2, 4)}, valid)


@pytest.mark.parametrize(
    'options', [dict(class_weight=-1.0), dict(box_weight=float('nan')), dict(code_weights=(1.0, 1.0, 1.0, -0.2))]
)
def test_negative_weights_are_refused_alike_when_built_and_when_called(options):
    with pytest.raises(ConfigError, match='scored_response_loss: weights must not be negative') as built:
        ScoredResponseLoss(**options)
    with pytest.raises(ConfigError) as called:
        scored_response_loss(*example(), **options)
    assert str(called.value) == str(built.value)

"""Tests of mono_distill.losses.quality_response."""

from __future__ import annotations

import pytest
import torch

from mono_distill.losses.quality_response import QualityResponseLoss, quality_response_loss
from mono_distill.ops.prediction_matching import hungarian_matching, prediction_cost
from mono_distill.ops.prediction_quality import prediction_quality
from mono_distill.utils.errors import ConfigError, ShapeError


def predictions(count, entries=10, classes=3, batch=2):
    return dict(
        logits=torch.randn(batch, count, classes, dtype=torch.float64),
        boxes=torch.randn(batch, count, entries, dtype=torch.float64),
    )


@pytest.mark.parametrize(('velocity_weight', 'expected'), [(0.2, 0.41310), (1.0, 0.47710)])
def test_one_prediction_worked_out_by_hand(velocity_weight, expected):
    quality = prediction_quality(torch.tensor([[0.64]]), torch.tensor([[0.25]]), gamma=0.5)
    torch.testing.assert_close(quality, torch.tensor([[0.4]]))
    teacher = dict(logits=torch.tensor([[[0.8]]]).logit(), boxes=torch.zeros(1, 1, 10))
    student = dict(logits=torch.zeros(1, 1, 1), boxes=torch.full((1, 1, 10), 0.1))
    options = dict(velocity_weight=velocity_weight, normalizer='none')
    loss = quality_response_loss(student, teacher, quality, **options)
    torch.testing.assert_close(loss, torch.tensor(expected), atol=1e-5, rtol=0)
    # One prediction of quality 0.4 is less than one: the divisor stays 1.
    assert quality_response_loss(student, teacher, quality, velocity_weight=velocity_weight) == loss


def test_divergence_of_two_probabilities_worked_out_by_hand():
    teacher = dict(logits=torch.tensor([[[0.8]]]).logit(), boxes=torch.zeros(1, 1, 10))
    student = dict(logits=torch.zeros(1, 1, 1), boxes=torch.zeros(1, 1, 10))
    loss = quality_response_loss(student, teacher, torch.ones(1, 1))
    torch.testing.assert_close(loss, torch.tensor(0.19274), atol=1e-5, rtol=0)


def literal_loss(student, teacher, quality, pairs, divergence, velocity_weight, normalizer):
    """Loop over images and pairs."""
    total, weight, count = 0.0, 0.0, 0
    for b, (ours, theirs, valid) in enumerate(zip(*pairs.values(), strict=True)):
        for s, t in zip(ours[valid].tolist(), theirs[valid].tolist(), strict=True):
            q = quality[b, t]
            box = (teacher['boxes'][b, t] - student['boxes'][b, s]).abs()
            x, y = student['logits'][b, s], teacher['logits'][b, t]
            if divergence == 'softmax':
                c = (y.softmax(0) * (y.softmax(0) / x.softmax(0)).log()).sum()
            else:
                p, r = y.sigmoid(), x.sigmoid()
                c = (p * (p / r).log() + (1 - p) * ((1 - p) / (1 - r)).log()).sum()
            total = total + q * (box[:8].sum() + velocity_weight * box[8:].sum() + c)
            weight, count = weight + q, count + (q > 0)
    return total / dict(quality=weight, pairs=count, none=1.0)[normalizer]


@pytest.mark.parametrize('entries', [8, 10])
@pytest.mark.parametrize('normalizer', ['quality', 'pairs', 'none'])
@pytest.mark.parametrize('divergence', ['bernoulli', 'softmax'])
def test_loss_and_gradients_equal_the_loops(divergence, normalizer, entries):
    student, teacher = predictions(6, entries), predictions(4, entries)
    quality = torch.rand(2, 4).double() + 0.5
    quality[0, 2] = 0
    pairs = dict(
        student=torch.tensor([[5, 0, 2], [3, 4, 0]]),
        teacher=torch.tensor([[1, 2, 3], [0, 2, 0]]),
        valid=torch.tensor([[True, True, True], [True, True, False]]),
    )
    leaves = [x.requires_grad_() for x in student.values()]
    options = dict(velocity_weight=0.3, normalizer=normalizer)
    loss = quality_response_loss(student, teacher, quality, pairs, class_divergence=divergence, **options)
    expected = literal_loss(student, teacher, quality, pairs, divergence, **options)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    gradients, expected_gradients = (torch.autograd.grad(x, leaves) for x in (loss, expected))
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-6, atol=1e-9)


def test_without_pairs_slot_meets_slot():
    student, teacher, quality = predictions(4), predictions(4), torch.rand(2, 4)
    index = torch.arange(4).expand(2, 4)
    pairs = dict(student=index, teacher=index, valid=torch.ones(2, 4, dtype=torch.bool))
    loss = quality_response_loss(student, teacher, quality)
    assert loss == quality_response_loss(student, teacher, quality, pairs)


def test_quality_weighs_each_pair_and_not_the_mean():
    student, teacher = predictions(2, batch=1), predictions(2, batch=1)
    alone = [
        quality_response_loss(student, teacher, torch.tensor([[1.0, 0.0]])),
        quality_response_loss(student, teacher, torch.tensor([[0.0, 1.0]])),
    ]
    both = quality_response_loss(student, teacher, torch.tensor([[0.9, 0.3]]))
    torch.testing.assert_close(both, (0.9 * alone[0] + 0.3 * alone[1]) / 1.2, rtol=1e-6, atol=0)


def test_a_shuffled_teacher_is_found_again():
    teacher = predictions(5)
    order = torch.randperm(5)
    student = {name: x[:, order] for name, x in teacher.items()}
    pairs = hungarian_matching(prediction_cost(student, teacher, box_weight=10.0))
    assert quality_response_loss(student, teacher, torch.ones(2, 5), pairs) == 0


def test_predictions_without_quality_may_hold_anything():
    student, teacher = predictions(3), predictions(3)
    quality = torch.tensor([[0.5, 0.6, 0.0], [0.7, 0.0, 0.0]])
    expected = quality_response_loss(student, teacher, quality)
    for x in (*student.values(), *teacher.values()):
        x[:, 2] = float('nan')
    leaves = [x.requires_grad_() for x in student.values()]
    loss = quality_response_loss(student, teacher, quality)
    assert loss == expected
    for gradient in torch.autograd.grad(loss, leaves):
        assert gradient.isfinite().all()
        assert not gradient[:, 2].any()


def test_a_quality_that_is_nan_is_not_hidden():
    student, teacher = predictions(2), predictions(2)
    assert quality_response_loss(student, teacher, torch.tensor([[0.5, float('nan')], [0.1, 0.0]])).isnan()


def test_extreme_logits_give_finite_numbers():
    student, teacher = predictions(1, batch=1), predictions(1, batch=1)
    student['logits'] = torch.tensor([[[300.0, -300.0, 0.0]]], requires_grad=True)
    teacher['logits'] = torch.tensor([[[-300.0, -300.0, 300.0]]])
    loss = quality_response_loss(student, teacher, torch.ones(1, 1))
    assert loss.isfinite()
    (gradient,) = torch.autograd.grad(loss, student['logits'])
    # The slope of the divergence is the difference of the probabilities.
    torch.testing.assert_close(gradient, torch.tensor([[[1.0, 0.0, -0.5]]]))


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (dict(teacher=dict(logits=torch.zeros(2, 3, 1))), ConfigError, "teacher: needs 'boxes', got only: logits"),
        (dict(student=predictions(4)), ShapeError, r'logits of the student \(2, 4, 3\) and of the teacher \(2, 3, 3\)'),
        (dict(student=predictions(3, 8)), ShapeError, r'boxes of the student \(2, 3, 8\) and of the teacher'),
        (dict(quality=torch.ones(2, 4)), ShapeError, r'quality has shape \(2, 4\), expected \(2, 3\), an entry per'),
        (dict(pairs=dict(student=torch.zeros(2, 1))), ConfigError, "pairs: needs 'teacher', got only: student"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_named(change, error, message):
    right = dict(student=predictions(3), teacher=predictions(3), quality=torch.ones(2, 3))
    with pytest.raises(error, match=message):
        quality_response_loss(**{**right, **change})


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(class_divergence='focal'), "class_divergence must be 'bernoulli' or 'softmax', got 'focal'"),
        (dict(normalizer='mean'), "normalizer must be 'quality', 'pairs' or 'none', got 'mean'"),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        QualityResponseLoss(**options)


def test_options_are_shown():
    shown = repr(QualityResponseLoss('softmax', velocity_weight=1.0, normalizer='none'))
    assert shown == "QualityResponseLoss(class_divergence='softmax', velocity_weight=1.0, normalizer='none')"

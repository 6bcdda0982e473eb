"""Tests of mono_distill.losses.temporal_similarity."""

from __future__ import annotations

import pytest
import torch

from mono_distill.losses.temporal_similarity import (
    TemporalSimilarityLoss,
    _images_at_once,
    temporal_similarity_loss,
)
from mono_distill.utils.errors import ConfigError, ShapeError

EYE = torch.eye(2).unsqueeze(0)
TEACHER = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]])
PAST = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [1.0, -1.0]]])
STUDENT = torch.tensor([[[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]])
RAW = dict(normalize=False, temperature=1.0)
DIRECTIONS = ('student_teacher', 'teacher_student', 'symmetric')


@pytest.mark.parametrize('direction', DIRECTIONS)
def test_swapped_points_cost_the_same_in_every_direction(direction):
    loss = temporal_similarity_loss(EYE.flip(1), EYE, [EYE], direction=direction, **RAW)
    torch.testing.assert_close(loss, torch.tensor(0.4621), atol=5e-5, rtol=0)


def test_equal_features_cost_nothing_and_stay():
    student = EYE.clone().requires_grad_()
    loss = temporal_similarity_loss(student, EYE, [EYE], **RAW)
    assert loss == 0
    assert torch.autograd.grad(loss, student)[0].abs().max() == 0


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (RAW, 0.89430),
        (dict(direction='teacher_student', **RAW), 0.83541),
        (dict(direction='symmetric', **RAW), (0.89430 + 0.83541) / 2),
        ({}, 6.73613),
    ],
)
def test_three_points_worked_out_by_hand(options, expected):
    loss = temporal_similarity_loss(STUDENT, TEACHER, [PAST], **options)
    torch.testing.assert_close(loss, torch.tensor(expected), atol=1e-5, rtol=0)


def literal_loss(student, teacher, past, valid, past_valid, temperature, direction):
    """Loop over images, frames and points; the softmax over the past points that exist."""
    total, rows = 0.0, 0
    for b in range(len(student)):
        for n in range(student.shape[1]):
            if not valid[b, n]:
                continue
            rows += 1
            for k in range(past.shape[1]):
                anchors = past[b, k][past_valid[b, k]]
                if len(anchors) == 0:
                    continue
                s = (anchors @ student[b, n] / temperature).softmax(0)
                t = (anchors @ teacher[b, n] / temperature).softmax(0)
                forward, reverse = (s * (s / t).log()).sum(), (t * (t / s).log()).sum()
                total = (
                    total
                    + dict(student_teacher=forward, teacher_student=reverse, symmetric=(forward + reverse) / 2)[
                        direction
                    ]
                )
    return total / rows


@pytest.mark.parametrize('direction', DIRECTIONS)
def test_loss_and_gradient_equal_the_loops(direction):
    student, teacher = torch.randn(2, 3, 6, 4, dtype=torch.float64).unbind()
    past = torch.randn(3, 2, 5, 4, dtype=torch.float64)
    valid, past_valid = torch.rand(3, 6) > 0.3, torch.rand(3, 2, 5) > 0.3
    past_valid[0, 1], past_valid[2] = False, False
    student.requires_grad_()
    options = dict(temperature=0.7, direction=direction)
    loss = temporal_similarity_loss(student, teacher, past, valid, past_valid, normalize=False, **options)
    expected = literal_loss(student, teacher, past, valid, past_valid, **options)
    torch.testing.assert_close(loss, expected)
    (gradient,), (expected_gradient,) = (torch.autograd.grad(x, student) for x in (loss, expected))
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize('images', [2, 5])
@pytest.mark.parametrize('masked', ['frames', 'points', 'nothing'])
def test_several_images_at_once_are_the_same_as_one_by_one(monkeypatch, images, masked):
    student = torch.randn(5, 6, 4, dtype=torch.float64, requires_grad=True)
    teacher, past = torch.randn(5, 6, 4, dtype=torch.float64), torch.randn(5, 2, 3, 4, dtype=torch.float64)
    exists = dict(frames=torch.rand(5, 2) > 0.3, points=torch.rand(5, 2, 3) > 0.3, nothing=None)[masked]
    found = []
    for count in (1, images):
        monkeypatch.setattr('mono_distill.losses.temporal_similarity._images_at_once', lambda *_, count=count: count)
        loss = temporal_similarity_loss(student, teacher, past, past_valid=exists)
        found.append([loss, *torch.autograd.grad(loss, student)])
    torch.testing.assert_close(*found)


def test_a_missing_frame_is_the_same_as_a_frame_of_missing_points():
    student, teacher, past = torch.randn(3, 6, 4), torch.randn(3, 6, 4), torch.randn(3, 2, 5, 4)
    frames = torch.tensor([[True, False], [True, True], [False, False]])
    by_points = temporal_similarity_loss(student, teacher, past, past_valid=frames.unsqueeze(2).expand(3, 2, 5))
    torch.testing.assert_close(temporal_similarity_loss(student, teacher, past, past_valid=frames), by_points)


def test_as_many_images_at_once_as_a_device_can_hold():
    points, anchors = (torch.empty(shape, device='meta') for shape in ((8, 900, 384), (8, 3, 900, 384)))
    assert _images_at_once(points, anchors) == 2**26 // (900 * 2700)
    assert _images_at_once(points, anchors.expand(8, 3, 900, 384).repeat(1, 40, 1, 1)) == 1
    assert _images_at_once(torch.empty(8, 9, 4), torch.empty(8, 3, 9, 4)) == 1
    assert _images_at_once(points[:, :0], anchors) == 2**26


def test_normalised_features_are_unit_vectors():
    student, teacher, past = torch.randn(3, 2, 6, 4, dtype=torch.float64).unbind()
    unit = [x / x.norm(dim=-1, keepdim=True) for x in (student, teacher, past)]
    torch.testing.assert_close(
        temporal_similarity_loss(student, teacher, [past]),
        temporal_similarity_loss(unit[0], unit[1], [unit[2]], normalize=False),
    )


def test_frames_add_up():
    student, teacher, first, second = torch.randn(4, 2, 6, 4, dtype=torch.float64).unbind()
    both = temporal_similarity_loss(student, teacher, [first, second])
    alone = [temporal_similarity_loss(student, teacher, [frame]) for frame in (first, second)]
    torch.testing.assert_close(both, sum(alone))
    stacked = torch.stack([first, second], dim=1)
    assert temporal_similarity_loss(student, teacher, stacked) == both


def test_a_missing_frame_adds_nothing_whatever_it_holds():
    student, teacher, first = torch.randn(3, 2, 6, 4).unbind()
    student.requires_grad_()
    past_valid = torch.tensor([[True, False], [True, False]])
    missing = torch.full_like(first, float('nan'))
    loss = temporal_similarity_loss(student, teacher, [first, missing], past_valid=past_valid)
    torch.testing.assert_close(loss, temporal_similarity_loss(student, teacher, [first]))
    assert torch.autograd.grad(loss, student)[0].isfinite().all()


def test_an_image_without_past_counts_with_zero():
    student, teacher, past = torch.randn(3, 2, 6, 4).unbind()
    loss = temporal_similarity_loss(student, teacher, [past], past_valid=torch.tensor([[True], [False]]))
    alone = temporal_similarity_loss(student[:1], teacher[:1], [past[:1]])
    torch.testing.assert_close(loss, alone / 2)


def test_padding_of_the_past_equals_a_shorter_past():
    student, teacher, past = torch.randn(3, 2, 6, 4).unbind()
    past_valid = torch.arange(6).expand(2, 1, 6) < 4
    loss = temporal_similarity_loss(student, teacher, [past], past_valid=past_valid)
    torch.testing.assert_close(loss, temporal_similarity_loss(student, teacher, [past[:, :4]]))


def test_order_of_the_past_points_does_not_matter():
    student, teacher, past = torch.randn(3, 2, 6, 4, dtype=torch.float64).unbind()
    torch.testing.assert_close(
        temporal_similarity_loss(student, teacher, [past.roll(2, 1)]),
        temporal_similarity_loss(student, teacher, [past]),
    )


def test_points_that_do_not_exist_may_hold_anything():
    student, teacher, past = torch.randn(3, 2, 6, 4).unbind()
    valid = torch.arange(6).expand(2, 6) < 5
    student[:, 5], teacher[:, 5] = float('nan'), float('inf')
    student.requires_grad_()
    loss = temporal_similarity_loss(student, teacher, [past], valid)
    torch.testing.assert_close(loss, temporal_similarity_loss(student[:, :5], teacher[:, :5], [past]))
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient.isfinite().all()
    assert not gradient[:, 5].any()


def test_the_past_receives_no_gradient():
    student, teacher, past = (x.requires_grad_() for x in torch.randn(3, 2, 6, 4).unbind())
    temporal_similarity_loss(student, teacher, [past]).backward()
    assert student.grad.any()
    assert past.grad is None


@pytest.mark.parametrize('past', [torch.zeros(2, 0, 6, 4), torch.zeros(2, 3, 0, 4)])
def test_without_past_there_is_nothing_to_learn(past):
    student, teacher = torch.randn(2, 2, 6, 4).unbind()
    loss = temporal_similarity_loss(student.requires_grad_(), teacher, past)
    assert loss == 0
    assert not torch.autograd.grad(loss, student)[0].any()


def test_a_point_without_features_has_a_bounded_gradient():
    student, teacher, past = torch.randn(3, 1, 50, 8).unbind()
    student[0, 3] = 0
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(temporal_similarity_loss(student, teacher, [past]), student)
    assert gradient.abs().max() < 10


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({}, 1.7),
        (dict(direction='teacher_student'), 4.6),
        (dict(temperature=0.07), 5.0),
        (dict(temperature=1.0), 0.0044),
        (dict(normalize=False, temperature=16.0), 6.5),
    ],
)
def test_size_of_the_loss_at_the_shape_of_training(options, expected):
    student, teacher, noise = torch.randn(3, 1, 900, 256).unbind()
    # What the teacher sees resembles what it saw before.
    past = 0.8 * teacher + 0.6 * noise
    loss = temporal_similarity_loss(student, teacher, [past], **options)
    torch.testing.assert_close(loss, torch.tensor(expected), rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(past=torch.zeros(2, 1, 5, 3)), r'past is \(2, 1, 5, 3\) and student .* \(2, K, M, 4\)'),
        (dict(past=torch.zeros(2, 5, 4)), r'past is \(2, 5, 4\)'),
        (dict(past=[]), r'past frames have shapes \[\]; give at least one'),
        (dict(past=[torch.zeros(2, 5, 4), torch.zeros(2, 6, 4)]), 'pad all to the same number of points'),
        (dict(past_valid=torch.ones(2, 3).bool()), r'past_valid is torch.bool \(2, 3\), expected bool \(2, 1\)'),
        (dict(past_valid=torch.ones(2, 1)), r'past_valid is torch.float32 \(2, 1\)'),
        (dict(valid=torch.ones(2, 5, dtype=torch.bool)), r'valid is torch.bool \(2, 5\), expected bool \(2, 6\)'),
        (dict(teacher=torch.zeros(2, 5, 4)), r'student \(2, 6, 4\) and teacher \(2, 5, 4\)'),
    ],
)  # fmt: skip
def test_wrong_shapes_are_named(arguments, message):
    right = dict(student=torch.zeros(2, 6, 4), teacher=torch.zeros(2, 6, 4), past=torch.zeros(2, 1, 5, 4))
    with pytest.raises(ShapeError, match=message):
        temporal_similarity_loss(**{**right, **arguments})


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(temperature=0), 'temperature must be positive, got 0'),
        (dict(direction='s_t'), "must be one of student_teacher, teacher_student, symmetric, got 's_t'"),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        TemporalSimilarityLoss(**options)


def test_options_are_shown():
    shown = repr(TemporalSimilarityLoss(0.2, direction='symmetric'))
    assert shown == "TemporalSimilarityLoss(temperature=0.2, normalize=True, direction='symmetric')"

"""Tests of mono_distill.losses.quality_focal."""

import math

import pytest
import torch

from mono_distill.losses.quality_focal import QualityFocalLoss, quality_focal_loss
from mono_distill.utils.errors import ConfigError, ShapeError

ANCHORS, CLASSES = 2, 3


def maps(batch=2):
    student = torch.randn(batch, ANCHORS * CLASSES, 3, 4, dtype=torch.float64)
    # Probabilities on both sides of 0.1.
    teacher = 2 * torch.randn(batch, ANCHORS * CLASSES, 3, 4, dtype=torch.float64) - 2
    return student, teacher


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def by_loops(student, teacher, beta=2.0, score_thr=0.1):
    """Sum over images, classes and anchors as the formula reads; the class runs fastest among the channels."""
    total = 0.0
    batch, channels, height, width = student.shape
    for b in range(batch):
        for k in range(CLASSES):
            loss, found = 0.0, 0
            for a in range(channels // CLASSES):
                for y in range(height):
                    for x in range(width):
                        p = sigmoid(student[b, a * CLASSES + k, y, x].item())
                        q = sigmoid(teacher[b, a * CLASSES + k, y, x].item())
                        entropy = -q * math.log(p) - (1 - q) * math.log(1 - p)
                        loss += abs(p - q) ** beta * entropy
                        found += q > score_thr
            total += loss / max(1, found)
    return total


@pytest.mark.parametrize('beta', [0.0, 1.0, 2.0, 2.5])
@pytest.mark.parametrize('score_thr', [0.1, 0.4])
def test_loss_is_what_the_formula_says(beta, score_thr):
    student, teacher = maps()
    expected = by_loops(student, teacher, beta, score_thr)
    options = dict(num_classes=CLASSES, beta=beta, score_thr=score_thr)
    assert quality_focal_loss(student, teacher, **options, images='sum').item() == pytest.approx(expected, rel=1e-9)
    assert quality_focal_loss(student, teacher, **options).item() == pytest.approx(expected / 2, rel=1e-9)


def test_one_number_worked_out():
    # p = 0.5, q = 0.9: 0.4^2 * log 2 = 0.110904
    student = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    teacher = torch.full_like(student, math.log(9))
    assert quality_focal_loss(student, teacher).item() == pytest.approx(0.16 * math.log(2), rel=1e-12)


def test_elements_are_those_of_mmdet():
    mmdet_losses = pytest.importorskip('mmdet.models.losses.gfocal_loss')
    student, teacher = maps()
    target = (torch.zeros(student.numel(), dtype=torch.long), teacher.sigmoid().flatten())
    theirs = mmdet_losses.quality_focal_loss.__wrapped__(student.reshape(-1, 1), target, beta=2.0).sum()
    # A threshold above every probability leaves divisors of one.
    ours = quality_focal_loss(student, teacher, num_classes=CLASSES, score_thr=0.999999, images='sum')
    torch.testing.assert_close(ours, theirs)


def test_divisor_of_a_class_that_the_teacher_does_not_find_is_one():
    student, teacher = maps()
    teacher.fill_(-20.0)
    expected = by_loops(student, teacher)
    loss = quality_focal_loss(student, teacher, num_classes=CLASSES, images='sum')
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_each_image_and_class_is_divided_by_its_own_count():
    student, teacher = maps()
    apart = [
        quality_focal_loss(
            student[b : b + 1].unflatten(1, (ANCHORS, CLASSES))[:, :, k],
            teacher[b : b + 1].unflatten(1, (ANCHORS, CLASSES))[:, :, k],
            num_classes=1,
        )
        for b in range(2)
        for k in range(CLASSES)
    ]
    torch.testing.assert_close(quality_focal_loss(student, teacher, num_classes=CLASSES, images='sum'), sum(apart))


def test_mean_over_images_does_not_grow_with_the_batch():
    student, teacher = maps()
    twice = [torch.cat([x, x]) for x in (student, teacher)]
    torch.testing.assert_close(quality_focal_loss(*twice), quality_focal_loss(student, teacher))
    torch.testing.assert_close(
        quality_focal_loss(*twice, images='sum'), 2 * quality_focal_loss(student, teacher, images='sum')
    )


def test_near_misses_are_spared_the_more_the_larger_beta():
    student, teacher = maps()
    losses = [quality_focal_loss(student, teacher, beta=beta).item() for beta in (0.0, 1.0, 2.0, 3.0)]
    assert losses == sorted(losses, reverse=True)


def test_beta_zero_is_cross_entropy_with_its_minimum_at_the_teacher():
    _, teacher = maps()
    student = teacher.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(quality_focal_loss(student, teacher, beta=0.0), student)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


def test_extreme_logits_stay_finite():
    student = torch.tensor([80.0, -80.0]).view(1, 2, 1, 1).requires_grad_()
    loss = quality_focal_loss(student, -student.detach())
    assert loss.item() == pytest.approx(160)
    loss.backward()
    assert student.grad.isfinite().all()


def test_channels_that_are_no_multiple_of_the_classes_are_refused():
    student, teacher = maps()
    with pytest.raises(ShapeError, match='student has 6 channels, no multiple of num_classes=4'):
        quality_focal_loss(student, teacher, num_classes=4)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_classes=0), 'num_classes must be positive or None, got 0'),
        (dict(beta=0.5), 'beta must be 0 or at least 1, got 0.5'),
        (dict(beta=-1.0), 'beta must be 0 or at least 1, got -1.0'),
        (dict(score_thr=1.0), 'score_thr must be a probability below 1, got 1.0'),
        (dict(images='batch'), "images must be 'mean' or 'sum', got 'batch'"),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        QualityFocalLoss(**options)

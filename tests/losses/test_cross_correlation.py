"""Tests of mono_distill.losses.cross_correlation."""

from __future__ import annotations

import pytest
import torch

from mono_distill.distillers.graph import DistillGraph
from mono_distill.losses.cross_correlation import CrossCorrelationLoss, cross_correlation, cross_correlation_loss
from mono_distill.ops import effective_dimension
from mono_distill.utils.errors import ConfigError, ShapeError

EYE = torch.eye(2).unsqueeze(0)
SWAPPED = EYE.flip(2)


@pytest.mark.parametrize(
    ('student', 'center', 'expected'),
    [(EYE, False, 0.0), (SWAPPED, False, 2.0100), (EYE, True, 0.0100), (SWAPPED, True, 8.0100)],
)
def test_two_points_of_two_channels_worked_out_by_hand(student, center, expected):
    exact = cross_correlation_loss(student, EYE, center=center, var_floor=1e-12)
    torch.testing.assert_close(exact, torch.tensor(expected), atol=1e-6, rtol=0)
    # Variances are 1/4 and 1/2 here: the floor takes less than a thousandth of a correlation.
    floored = cross_correlation_loss(student, EYE, center=center)
    torch.testing.assert_close(floored, torch.tensor(expected), atol=1e-3, rtol=1e-3)


def pooled_points(student, teacher, valid):
    """The points of all images that exist, one below the other."""
    return student[valid], teacher[valid]


def literal_loss(student, teacher, weight, center, floor):
    """The two sums of the formula, entry by entry, over points (N, C)."""
    n, channels = student.shape
    loss = 0.0
    for i in range(channels):
        for j in range(channels):
            f, g = teacher[:, i], student[:, j]
            if center:
                f, g = f - f.mean(), g - g.mean()
            c = (f * g).sum() / n / ((f @ f / n + floor) * (g @ g / n + floor)).sqrt()
            loss = loss + ((1 - c) ** 2 if i == j else weight * c**2)
    return loss


@pytest.mark.parametrize('center', [True, False])
@pytest.mark.parametrize('weight', [0.0, 0.005, 1.0, 3.0])
def test_loss_and_gradient_equal_the_double_sum(center, weight):
    student, teacher = torch.randn(2, 3, 8, 4, dtype=torch.float64).unbind()
    valid = torch.rand(3, 8) > 0.3
    student.requires_grad_()
    loss = cross_correlation_loss(student, teacher, valid, off_diagonal_weight=weight, center=center, var_floor=0.01)
    expected = literal_loss(*pooled_points(student, teacher, valid), weight, center, 0.01)
    torch.testing.assert_close(loss, expected)
    (gradient,), (expected_gradient,) = (torch.autograd.grad(x, student) for x in (loss, expected))
    torch.testing.assert_close(gradient, expected_gradient)


def test_rows_of_the_matrix_are_teacher_channels():
    teacher = torch.randn(1, 50, 3)
    student = torch.stack([teacher[..., 2], torch.randn(1, 50), torch.randn(1, 50)], -1)
    matrix = cross_correlation(student, teacher)
    assert matrix[2, 0] > 0.99
    assert matrix[0, 2].abs() < 0.5


def test_per_image_is_the_mean_of_the_images_that_have_points():
    student, teacher = torch.randn(2, 3, 9, 4, dtype=torch.float64).unbind()
    valid = torch.ones(3, 9, dtype=torch.bool)
    valid[1] = False
    loss = cross_correlation_loss(student, teacher, valid, statistics='image')
    alone = [cross_correlation_loss(student[i : i + 1], teacher[i : i + 1]) for i in (0, 2)]
    torch.testing.assert_close(loss, sum(alone) / 2)
    assert cross_correlation(student, teacher, valid, statistics='image').shape == (3, 4, 4)


def test_scale_and_offset_of_a_channel_change_nothing():
    student, teacher = torch.randn(2, 2, 40, 5, dtype=torch.float64).unbind()
    scale, offset = torch.rand(2, 2, 5, dtype=torch.float64).add(0.5).unbind()
    changed = cross_correlation_loss(
        student * scale[0] + offset[0], teacher * scale[1] + offset[1], var_floor=1e-12, off_diagonal_weight=0.1
    )
    torch.testing.assert_close(
        changed, cross_correlation_loss(student, teacher, var_floor=1e-12, off_diagonal_weight=0.1)
    )


def test_order_of_the_points_changes_nothing():
    student, teacher = torch.randn(2, 1, 40, 5, dtype=torch.float64).unbind()
    order = torch.randperm(40)
    torch.testing.assert_close(
        cross_correlation_loss(student[:, order], teacher[:, order]), cross_correlation_loss(student, teacher)
    )


def test_a_negated_copy_is_the_worst():
    teacher = torch.randn(1, 30, 4)
    negated = cross_correlation_loss(-teacher, teacher, off_diagonal_weight=0.0)
    torch.testing.assert_close(negated, torch.tensor(16.0), rtol=1e-3, atol=0)


def test_size_of_the_loss_at_the_shape_of_training():
    unrelated, teacher = torch.randn(2, 1, 900, 256).relu().unbind()
    loss = cross_correlation_loss(unrelated, teacher)
    torch.testing.assert_close(loss, torch.tensor(256.0), rtol=0.02, atol=0)
    # Rectified features are never orthogonal: without means even unrelated ones look alike.
    for center, student, expected in (
        (True, unrelated, 72),
        (False, unrelated, 6680),
        (True, teacher, 72),
        (False, teacher, 6680),
    ):
        matrix = cross_correlation(student, teacher, center=center)
        off_diagonal = matrix.square().sum() - matrix.diagonal().square().sum()
        torch.testing.assert_close(off_diagonal, torch.tensor(float(expected)), rtol=0.1, atol=0)


def test_a_copy_of_a_redundant_teacher_pays_for_the_redundancy_only():
    teacher = torch.randn(1, 200, 6, dtype=torch.float64).repeat(1, 1, 2)
    matrix = cross_correlation(teacher, teacher, var_floor=1e-12)
    torch.testing.assert_close(matrix.diagonal(), torch.ones(12, dtype=torch.float64))
    off_diagonal = (matrix - torch.eye(12)).square().sum()
    # Each of 12 channels has a twin.
    assert 12 < off_diagonal < 14
    torch.testing.assert_close(
        cross_correlation_loss(teacher, teacher, var_floor=1e-12, off_diagonal_weight=0.5), 0.5 * off_diagonal
    )


@pytest.mark.parametrize('dead', [0.0, 7.0])
def test_the_gradient_of_a_dead_channel_is_bounded(dead):
    student, teacher = torch.randn(2, 1, 900, 16).unbind()
    student[..., 3] = dead
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(cross_correlation_loss(student, teacher), student)
    # About 2 / (N sqrt(floor)) per entry; dividing by a norm that is floored outside the root gives 1e5.
    assert 0 < gradient[..., 3].abs().max() < 2


def test_a_dead_channel_costs_one_and_correlates_with_nothing():
    student, teacher = torch.randn(2, 1, 30, 4, dtype=torch.float64).unbind()
    student[..., 3] = 0
    matrix = cross_correlation(student, teacher)
    assert not matrix[:, 3].any()
    others = cross_correlation_loss(student[..., :3], teacher[..., :3], off_diagonal_weight=0.0)
    torch.testing.assert_close(cross_correlation_loss(student, teacher, off_diagonal_weight=0.0), others + 1)


def test_points_that_do_not_exist_may_hold_anything():
    student, teacher = torch.randn(2, 2, 6, 3).unbind()
    valid = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    expected = cross_correlation_loss(student, teacher, valid)
    student[1, 4:], teacher[1, 5] = float('nan'), float('inf')
    student.requires_grad_()
    loss = cross_correlation_loss(student, teacher, valid)
    assert loss == expected
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient.isfinite().all()
    assert not gradient[1, 4:].any()


def test_training_on_it_decorrelates_and_aligns():
    teacher = torch.randn(1, 60, 4)
    student = torch.randn(1, 60, 1).repeat(1, 1, 4).requires_grad_()
    optimizer = torch.optim.Adam([student], lr=0.1)
    for _ in range(80):
        optimizer.zero_grad()
        cross_correlation_loss(student, teacher, off_diagonal_weight=0.05).backward()
        optimizer.step()
    assert (cross_correlation(student, teacher).diagonal() > 0.9).all()


def test_one_process_has_no_other_to_ask():
    student, teacher = torch.randn(2, 2, 9, 3).unbind()
    loss = cross_correlation_loss(student, teacher, statistics='global')
    assert loss == cross_correlation_loss(student, teacher, statistics='batch')


def test_channels_must_match():
    with pytest.raises(ShapeError, match=r'student \(1, 5, 3\) and teacher \(1, 5, 4\).*an adapter'):
        cross_correlation_loss(torch.zeros(1, 5, 3), torch.zeros(1, 5, 4))


def test_valid_must_have_an_entry_per_point():
    points = torch.zeros(2, 5, 3)
    with pytest.raises(
        ShapeError, match=r'cross_correlation_loss: valid is torch.bool \(2, 4\), expected bool \(2, 5\)'
    ):
        cross_correlation_loss(points, points, torch.ones(2, 4, dtype=torch.bool))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(statistics='channel'), "statistics must be one of image, batch, global, got 'channel'"),
        (dict(var_floor=0.0), 'var_floor must be positive, got 0.0; dead channels need it'),
        (dict(off_diagonal_weight=-1.0), 'off_diagonal_weight must not be negative, got -1.0'),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        CrossCorrelationLoss(**options)


def test_options_are_shown():
    shown = repr(CrossCorrelationLoss(0.01, statistics='image'))
    assert shown == (
        "CrossCorrelationLoss(off_diagonal_weight=0.01, center=True, var_floor=0.0001, statistics='image', "
        'log_dimensions=False)'
    )


def test_a_distiller_logs_the_dimensions_of_both_sides():
    options = dict(type='mono_distill.CrossCorrelationLoss', log_dimensions=True)
    inputs = dict(student='s', teacher='t')
    graph = DistillGraph(['s', 't'], losses=dict(structure=dict(**options, inputs=inputs)))
    student, teacher = torch.randn(2, 40, 5, requires_grad=True), torch.randn(2, 40, 5)
    logged = graph(dict(s=student, t=teacher))
    assert logged['kd_structure_student_dim'] == effective_dimension(student)
    assert logged['kd_structure_teacher_dim'] == effective_dimension(teacher)
    assert not any(value.requires_grad for name, value in logged.items() if not name.startswith('loss'))


def test_a_half_precision_student_does_not_round_the_dimension_of_its_teacher():
    loss = CrossCorrelationLoss(log_dimensions=True)
    student, teacher = torch.randn(2, 40, 5, dtype=torch.float16), 1e5 * torch.randn(2, 40, 5)
    loss(student, teacher)
    torch.testing.assert_close(loss.log_vars['teacher_dim'], effective_dimension(teacher))

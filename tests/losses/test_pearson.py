"""Tests of mono_distill.losses.pearson."""

import numpy as np
import pytest
import torch

from mono_distill.losses.pearson import PearsonLoss, pearson_loss
from mono_distill.utils.errors import ConfigError, ShapeError


def example(shape=(2, 3, 4, 5)):
    student = torch.randn(shape, dtype=torch.float64)
    return student, student + 2 * torch.randn(shape, dtype=torch.float64)


def correlations(student, teacher):
    """Pearson's correlation of each channel over all images and places."""
    rows = [x.transpose(0, 1).flatten(1).numpy() for x in (student, teacher)]
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(*rows, strict=True)])


def literal(student, teacher):
    """Normalise with the unbiased deviation, then halve the mean squared error, as the official code does."""
    normalised = []
    for features in (student, teacher):
        rows = features.transpose(0, 1).flatten(1)
        normalised.append((rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True))
    return (normalised[0] - normalised[1]).square().mean() / 2


def test_loss_is_one_minus_the_mean_correlation_of_the_channels():
    student, teacher = example()
    expected = (1 - correlations(student, teacher)).mean()
    assert pearson_loss(student, teacher).item() == pytest.approx(expected, rel=1e-12)


def test_unbiased_form_is_the_official_one():
    student, teacher = example()
    student.requires_grad_()
    ours, official = pearson_loss(student, teacher, unbiased=True), literal(student, teacher)
    torch.testing.assert_close(ours, official)
    torch.testing.assert_close(torch.autograd.grad(ours, student), torch.autograd.grad(official, student))


def test_the_two_deviations_differ_by_a_factor_of_the_number_of_places():
    student, teacher = example()
    places = 2 * 4 * 5
    expected = pearson_loss(student, teacher) * (places - 1) / places
    torch.testing.assert_close(pearson_loss(student, teacher, unbiased=True), expected)


def test_per_image_statistics_average_over_the_images():
    student, teacher = example()
    images = [pearson_loss(student[i : i + 1], teacher[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(pearson_loss(student, teacher, statistics='image'), torch.stack(images).mean())


def test_levels_add_up():
    fine, coarse = example(), example((2, 6, 2, 3))
    levels = [[fine[i], coarse[i]] for i in range(2)]
    torch.testing.assert_close(pearson_loss(*levels), pearson_loss(*fine) + pearson_loss(*coarse))


def test_scale_and_offset_of_a_channel_do_not_matter():
    student, teacher = example()
    scale = torch.tensor([0.01, 1.0, 300.0], dtype=torch.float64).view(1, 3, 1, 1)
    offset = torch.tensor([5.0, -1.0, 0.0], dtype=torch.float64).view(1, 3, 1, 1)
    expected = pearson_loss(student, teacher)
    torch.testing.assert_close(pearson_loss(student * scale + offset, teacher), expected)
    torch.testing.assert_close(pearson_loss(student, teacher * scale + offset), expected)


def test_opposite_channels_cost_two():
    student, _ = example()
    assert pearson_loss(-student, student).item() == pytest.approx(2.0)


@pytest.mark.parametrize(('constant', 'cost'), [('student', 0.5), ('teacher', 0.5), ('both', 0.0)])
@pytest.mark.parametrize('value', [0.0, 0.1])
def test_a_constant_channel_is_normalised_to_zeros_and_gets_no_gradient(constant, cost, value):
    sides = {name: features[:, :1].float() for name, features in zip(('student', 'teacher'), example(), strict=True)}
    for name in sides:
        if constant in (name, 'both'):
            sides[name] = torch.full_like(sides[name], value)
    student = sides['student'].requires_grad_()
    loss = pearson_loss(student, sides['teacher'])
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == pytest.approx(cost, rel=1e-6)
    assert gradient.abs().max() < 1e-7


def nearly_constant(value, steps):
    """A channel of neighbouring numbers, up to ``steps`` apart in the last bit of float32."""
    numbers = torch.full((2, 1, 4, 5), value)
    ulp = torch.nextafter(numbers, torch.tensor(torch.inf)) - numbers
    return numbers + ulp * (torch.arange(40.0) % (steps + 1)).view_as(numbers)


@pytest.mark.parametrize('value', [1.0, 100.0, 1e-20])
@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_rounding_noise_is_no_signal(value, side):
    noise, other = nearly_constant(value, 3), torch.randn(2, 1, 4, 5)
    student = (noise if side == 'student' else other).clone().requires_grad_()
    loss = pearson_loss(student, other if side == 'student' else noise)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == pytest.approx(0.5, rel=1e-5)
    assert gradient.abs().max() < (1e-7 if side == 'student' else 0.1)


def test_what_varies_by_more_than_rounding_is_a_signal():
    signal = nearly_constant(1.0, 39)
    assert pearson_loss(signal, torch.arange(40.0).view_as(signal)).item() == pytest.approx(0.0, abs=0.01)


def test_levels_of_different_size_are_refused():
    with pytest.raises(ShapeError, match='tap levels of the same stride'):
        pearson_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 8, 8))


def test_unknown_statistics_are_refused_when_built():
    with pytest.raises(ConfigError, match="statistics must be 'batch' or 'image', got 'group'"):
        PearsonLoss('group')


def test_a_large_offset_costs_no_digits():
    student, teacher = (x.float() for x in example((2, 3, 40, 50)))
    torch.testing.assert_close(
        pearson_loss(student + 1000, teacher - 3000), pearson_loss(student, teacher), rtol=1e-3, atol=0
    )


def test_a_single_place_has_no_correlation():
    student, teacher = (x[:1, :, :1, :1].requires_grad_() for x in example())
    loss = pearson_loss(student, teacher)
    assert loss == 0
    assert not torch.autograd.grad(loss, student)[0].any()

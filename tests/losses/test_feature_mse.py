"""Tests of mono_distill.losses.feature_mse."""

import pytest
import torch

from mono_distill.losses.feature_mse import FeatureMSELoss, feature_mse_loss
from mono_distill.utils.errors import ConfigError, ShapeError


def pair(dtype=torch.float64):
    return torch.randn(2, 3, 4, 5, dtype=dtype), torch.randn(2, 3, 4, 5, dtype=dtype)


def by_loops(student, teacher, mask):
    """The masked mean, written as the formula reads."""
    total = weight = 0.0
    batch, channels, height, width = student.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                squares = [(student[b, c, y, x] - teacher[b, c, y, x]).item() ** 2 for c in range(channels)]
                total += mask[b, y, x].item() * sum(squares) / channels
                weight += mask[b, y, x].item()
    return total / weight


def test_plain_form_is_the_mean_of_squares():
    student, teacher = pair()
    expected = by_loops(student, teacher, torch.ones(2, 4, 5))
    assert feature_mse_loss(student, teacher).item() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(feature_mse_loss(student, teacher), (student - teacher).square().mean())


def test_gradient_is_that_of_a_mean_of_squares():
    student, teacher = pair()
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(feature_mse_loss(student, teacher), student)
    torch.testing.assert_close(gradient, 2 * (student.detach() - teacher) / student.numel())


def test_levels_are_added():
    fine, coarse = pair(), [x[..., :2, :2] for x in pair()]
    both = feature_mse_loss([fine[0], coarse[0]], [fine[1], coarse[1]])
    torch.testing.assert_close(both, feature_mse_loss(*fine) + feature_mse_loss(*coarse))


@pytest.mark.parametrize('kind', ['bool', 'weights'])
def test_masked_form_is_the_weighted_mean(kind):
    student, teacher = pair()
    mask = torch.rand(2, 4, 5) * 0.01
    mask = mask > 0.005 if kind == 'bool' else mask
    expected = by_loops(student, teacher, mask.double())
    assert feature_mse_loss(student, teacher, mask).item() == pytest.approx(expected, rel=1e-6)


def test_scale_of_the_mask_does_not_matter():
    student, teacher = pair()
    mask = torch.rand(2, 4, 5)
    torch.testing.assert_close(
        feature_mse_loss(student, teacher, 1e-4 * mask), feature_mse_loss(student, teacher, mask), rtol=1e-5, atol=0
    )


def test_a_mask_of_ones_changes_nothing():
    student, teacher = pair()
    ones = torch.ones(2, 4, 5)
    torch.testing.assert_close(feature_mse_loss(student, teacher, ones), feature_mse_loss(student, teacher))


def test_each_level_has_its_mask():
    student, teacher = pair()
    masks = [torch.rand(2, 4, 5), torch.rand(2, 4, 5) < 0.5]
    both = feature_mse_loss([student, student], [teacher, teacher], masks)
    apart = [feature_mse_loss(student, teacher, mask) for mask in masks]
    torch.testing.assert_close(both, sum(apart))


def test_nan_of_the_teacher_outside_the_mask_is_ignored():
    student, teacher = pair()
    mask = torch.rand(2, 4, 5) < 0.5
    expected = feature_mse_loss(student, teacher, mask)
    teacher = torch.where(mask.unsqueeze(1), teacher, float('nan'))
    student.requires_grad_()
    loss = feature_mse_loss(student, teacher, mask)
    assert loss == expected
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient.isfinite().all()
    assert torch.equal(gradient.any(1), mask)


def test_empty_places_of_the_teacher_weigh_what_they_are_told():
    student, teacher = pair()
    teacher[0, :, :2] = 0
    teacher[1, 0] = 0  # one dead channel makes no place empty
    weights = torch.ones(2, 4, 5)
    weights[0, :2] = 0.05
    assert feature_mse_loss(student, teacher, empty_weight=0.05).item() == pytest.approx(
        by_loops(student, teacher, weights), rel=1e-6
    )
    mask = torch.rand(2, 4, 5)
    assert feature_mse_loss(student, teacher, mask, empty_weight=0.05).item() == pytest.approx(
        by_loops(student, teacher, weights * mask), rel=1e-6
    )


def test_released_imitation_compares_maps_scaled_by_extremes_of_the_batch():
    student, teacher = pair()
    scaled = [(x - x.min()) / (x.max() - x.min()) for x in (student, teacher)]
    expected = (scaled[0] - scaled[1]).square().mean()
    torch.testing.assert_close(feature_mse_loss(student, teacher, normalize='minmax', statistics='batch'), expected)


def test_released_imitation_has_a_gradient_here():
    student, teacher = pair()
    student.requires_grad_()
    feature_mse_loss(student, teacher, normalize='minmax', statistics='batch').backward()
    assert student.grad.any()


def test_scaled_images_do_not_depend_on_each_other():
    student, teacher = pair()
    apart = [feature_mse_loss(student[i : i + 1], teacher[i : i + 1], normalize='minmax') for i in range(2)]
    torch.testing.assert_close(feature_mse_loss(student, teacher, normalize='minmax'), sum(apart) / 2)


def test_sum_mode_compares_channel_means_over_their_mean():
    student, teacher = (x.abs() for x in pair())
    a, b = student.mean(1), teacher.mean(1)
    expected = (a / a.mean() - b / b.mean()).square().mean()
    sum_mode = FeatureMSELoss(compare='channel_mean', normalize='mean', statistics='batch')
    torch.testing.assert_close(sum_mode(student, teacher), expected)


def test_sum_mode_does_not_see_the_order_of_channels():
    _, teacher = (x.abs() for x in pair())
    loss = feature_mse_loss(teacher.flip(1), teacher, compare='channel_mean', normalize='mean')
    assert loss.item() == pytest.approx(0, abs=1e-30)


def test_masks_that_do_not_fit_are_refused():
    student, teacher = pair()
    with pytest.raises(ShapeError, match=r'mask of level 0 has shape \(2, 1, 4, 5\), expected \(2, 4, 5\)'):
        feature_mse_loss(student, teacher, torch.ones(2, 1, 4, 5))
    with pytest.raises(ShapeError, match='1 levels but 2 masks'):
        feature_mse_loss(student, teacher, [torch.ones(2, 4, 5)] * 2)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(compare='sum'), "compare must be 'features' or 'channel_mean', got 'sum'"),
        (dict(normalize='l2'), "normalize must be None, minmax, mean, standard, got 'l2'"),
        (dict(statistics='all'), "statistics must be 'image' or 'batch', got 'all'"),
        (dict(empty_weight=-0.1), 'empty_weight must be None or not negative, got -0.1'),
        (dict(empty_weight=float('nan')), 'empty_weight must be None or not negative, got nan'),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        FeatureMSELoss(**options)


def test_options_are_shown():
    assert "normalize='minmax', statistics='batch'" in repr(FeatureMSELoss(normalize='minmax', statistics='batch'))


def test_processes_with_different_masks_give_the_mean_over_all_places(monkeypatch):
    student, teacher = pair()
    mask = torch.rand(2, 4, 5) * torch.tensor([1.0, 0.1]).view(2, 1, 1)
    expected = feature_mse_loss(student, teacher, mask)
    # Each process holds one image; what they exchange is the mean of the masks' sums.
    monkeypatch.setattr(
        'mono_distill.losses.weighted_squares.mean_over_ranks', lambda _: mask.double().sum().view(1) / 2
    )
    parts = [feature_mse_loss(student[i : i + 1], teacher[i : i + 1], mask[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(sum(parts) / 2, expected)

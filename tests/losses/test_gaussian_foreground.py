"""Tests of mono_distill.losses.gaussian_foreground."""

import pytest
import torch

from mono_distill.losses import masked
from mono_distill.losses.feature_mse import feature_mse_loss
from mono_distill.losses.gaussian_foreground import gaussian_foreground_loss
from mono_distill.utils.errors import ShapeError


def example(batch=2):
    student, teacher = torch.randn(2, batch, 3, 4, 5, dtype=torch.float64)
    return student, teacher, torch.rand(batch, 4, 5).clamp(min=0.5) * 2 - 1


def literal(student, teacher, mask):
    numerator = denominator = 0.0
    for b in range(student.shape[0]):
        for y in range(student.shape[2]):
            for x in range(student.shape[3]):
                squares = [float(student[b, c, y, x] - teacher[b, c, y, x]) ** 2 for c in range(student.shape[1])]
                numerator += float(mask[b, y, x]) * sum(squares)
                denominator += float(mask[b, y, x])
    return numerator / denominator


def test_equals_the_formula_written_out():
    student, teacher, mask = example()
    loss = gaussian_foreground_loss(student, teacher, mask)
    assert loss.item() == pytest.approx(literal(student, teacher, mask), rel=1e-6)


def test_one_frame_gives_the_official_expression():
    student, teacher, mask = example(batch=1)
    official = ((student - teacher) ** 2 * mask).sum() / mask.sum()
    torch.testing.assert_close(gaussian_foreground_loss(student, teacher, mask), official)


def test_only_the_proportions_of_the_mask_count():
    student, teacher, mask = example()
    loss = gaussian_foreground_loss(student, teacher, mask)
    torch.testing.assert_close(gaussian_foreground_loss(student, teacher, 1e-4 * mask), loss)


def test_every_frame_has_its_own_mask():
    student, teacher, mask = example()
    mask[1] = 0
    first = gaussian_foreground_loss(student[:1], teacher[:1], mask[:1])
    torch.testing.assert_close(gaussian_foreground_loss(student, teacher, mask), first)


def test_gradient_is_proportional_to_the_mask():
    student, teacher, mask = example()
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(gaussian_foreground_loss(student, teacher, mask), student)
    expected = 2 * (student - teacher).detach() * mask.unsqueeze(1) / mask.sum()
    torch.testing.assert_close(gradient, expected, check_dtype=False)


def test_it_is_the_masked_mean_of_squares_times_the_number_of_channels():
    student, teacher, mask = example()
    torch.testing.assert_close(
        gaussian_foreground_loss(student, teacher, mask), 3 * feature_mse_loss(student, teacher, mask)
    )


def test_levels_of_different_width_are_summed_over_their_own_channels():
    student, teacher, mask = example()
    apart = gaussian_foreground_loss(student, teacher, mask) + gaussian_foreground_loss(
        student[:, :2], teacher[:, :2], mask
    )
    together = gaussian_foreground_loss([student, student[:, :2]], [teacher, teacher[:, :2]], [mask, mask])
    torch.testing.assert_close(together, apart)


def test_nan_of_the_teacher_away_from_the_objects_is_ignored():
    student, teacher, mask = example()
    mask[:, 0] = 0
    expected = gaussian_foreground_loss(student, teacher, mask)
    teacher[:, :, 0] = float('nan')
    loss = gaussian_foreground_loss(student.requires_grad_(), teacher, mask)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss == expected
    assert gradient.isfinite().all()


def test_boolean_masks_count_cells():
    student, teacher, mask = example()
    cells = mask > 0.5
    expected = (student - teacher).square().sum(1)[cells].mean()
    torch.testing.assert_close(gaussian_foreground_loss(student, teacher, cells), expected)


def test_levels_have_masks_of_their_own_size():
    levels = [example(), [x[..., :2] for x in example()]]
    separate = torch.stack([gaussian_foreground_loss(*level) for level in levels]).sum()
    together = gaussian_foreground_loss(*zip(*levels, strict=True))
    torch.testing.assert_close(together, separate)


def test_masks_are_summed_over_all_processes(monkeypatch):
    student, teacher, mask = example()
    expected = gaussian_foreground_loss(student, teacher, mask) / 2
    monkeypatch.setattr(masked, 'all_reduce', lambda counts, op: counts.mul_(2))
    torch.testing.assert_close(gaussian_foreground_loss(student, teacher, mask), expected)


def test_masks_that_do_not_fit_are_named():
    student, teacher, mask = example()
    with pytest.raises(ShapeError, match=r'mask of level 0 has shape \(2, 4, 4\), expected \(2, 4, 5\)'):
        gaussian_foreground_loss(student, teacher, mask[..., :4])
    with pytest.raises(ShapeError, match='1 levels but 2 masks; give one per level'):
        gaussian_foreground_loss(student, teacher, [mask, mask])

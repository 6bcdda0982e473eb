"""Tests of mono_distill.losses.region_decomposed."""

import numpy as np
import pytest
import torch

from mono_distill.losses.region_decomposed import REGION_WEIGHTS, RegionDecomposedLoss, region_decomposed_loss
from mono_distill.utils.errors import ConfigError, ShapeError


def example():
    student, teacher = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64)
    return student, teacher, {name: torch.rand(2, 4, 5, dtype=torch.float64) for name in REGION_WEIGHTS}


def softmax(x):
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def spatial(features):
    """Attention of one image (C, H, W)."""
    size = np.abs(features).mean(0)
    return size.size * softmax(size / 0.5)


def channels(features):
    return len(features) * softmax(np.abs(features).mean((1, 2)) / 0.5)


def literal(student, teacher, regions, attention, channel_attention):
    """The sum over images, regions, channels and cells, without the division by the batch."""
    total = 0.0
    for b, (s, t) in enumerate(zip(student.numpy(), teacher.numpy(), strict=True)):
        by_cell = dict(teacher=spatial(t), teacher_student=(spatial(t) + spatial(s)) / 2, none=np.ones(t.shape[1:]))
        both = attention == 'teacher_student'
        by_channel = (channels(t) + channels(s)) / 2 if both else channels(t)
        for name, region in regions.items():
            for c, y, x in np.ndindex(s.shape):
                factor = by_channel[c] if channel_attention in ('all', name) else 1.0
                cell = region[b, y, x].item() * by_cell[attention][y, x]
                total += REGION_WEIGHTS[name] * factor * cell * (s[c, y, x] - t[c, y, x]) ** 2
    return total


@pytest.mark.parametrize('attention', ['teacher_student', 'teacher', 'none'])
@pytest.mark.parametrize('channel_attention', ['none', 'false_positive', 'all'])
def test_equals_the_formula_written_out(attention, channel_attention):
    student, teacher, regions = example()
    options = dict(attention=attention, channel_attention=channel_attention)
    loss = region_decomposed_loss(student, teacher, regions, **options)
    assert loss.item() == pytest.approx(literal(student, teacher, regions, **options) / 2, rel=1e-9)


@pytest.mark.parametrize('channel_attention', ['none', 'all'])
def test_attention_is_held_fixed_for_the_gradient(channel_attention):
    student, teacher, regions = example()
    student.requires_grad_()
    loss = region_decomposed_loss(student, teacher, regions, channel_attention=channel_attention)
    (gradient,) = torch.autograd.grad(loss, student)
    s, t = student.detach().numpy(), teacher.numpy()
    cells = sum(REGION_WEIGHTS[name] * region for name, region in regions.items()).numpy()
    cells = cells * np.stack([(spatial(a) + spatial(b)) / 2 for a, b in zip(s, t, strict=True)])
    expected = 2 * (s - t) * cells[:, None] / 2
    if channel_attention == 'all':
        expected *= np.stack([(channels(a) + channels(b)) / 2 for a, b in zip(s, t, strict=True)])[..., None, None]
    torch.testing.assert_close(gradient, torch.from_numpy(expected))


def test_a_stronger_teacher_draws_the_weight_to_its_cells():
    teacher = torch.zeros(1, 2, 3, 3)
    teacher[:, :, 1, 1] = 2.0
    student = (teacher + 1).requires_grad_()
    regions = dict(foreground=torch.ones(1, 3, 3))
    loss = region_decomposed_loss(student, teacher, regions, region_weights=dict(foreground=1.0), attention='teacher')
    (gradient,) = torch.autograd.grad(loss, student)
    ratio = gradient[0, 0, 1, 1] / gradient[0, 0, 0, 0]
    assert ratio.item() == pytest.approx(np.exp(2 / 0.5), rel=1e-5)
    # The attention averages to one, and every difference is one.
    assert loss.item() == pytest.approx(2 * 9, rel=1e-5)


def test_regions_without_a_weight_do_not_count():
    student, teacher, regions = example()
    weights = dict(foreground=2.0)
    expected = region_decomposed_loss(student, teacher, {'foreground': regions['foreground']}, region_weights=weights)
    assert region_decomposed_loss(student, teacher, regions, region_weights=weights) == expected


def test_the_loss_of_a_batch_is_the_mean_over_its_images():
    student, teacher, regions = example()
    images = [
        region_decomposed_loss(student[i : i + 1], teacher[i : i + 1], {k: v[i : i + 1] for k, v in regions.items()})
        for i in range(2)
    ]
    torch.testing.assert_close(region_decomposed_loss(student, teacher, regions), torch.stack(images).mean())


def test_levels_share_the_regions():
    student, teacher, regions = example()
    other = torch.randn(2, 2, 7, 4, 5, dtype=torch.float64)
    together = region_decomposed_loss([student, other[0]], [teacher, other[1]], regions)
    separate = region_decomposed_loss(student, teacher, regions) + region_decomposed_loss(*other, regions)
    torch.testing.assert_close(together, separate)


def test_regions_in_double_precision_do_not_raise_the_loss_to_it():
    student, teacher, regions = example()
    assert region_decomposed_loss(student.float(), teacher.float(), regions).dtype == torch.float32


def test_regions_that_do_not_fit_are_named():
    student, teacher, regions = example()
    with pytest.raises(ConfigError, match="needs 'false_positive', got only: background, foreground"):
        region_decomposed_loss(student, teacher, {k: regions[k] for k in ('foreground', 'background')})
    with pytest.raises(ShapeError, match=r"'background' has shape \(2, 4, 4\), expected \(2, 4, 5\)"):
        region_decomposed_loss(student, teacher, {**regions, 'background': torch.zeros(2, 4, 4)})


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(region_weights={}), 'region_weights is empty'),
        (dict(attention='student'), "attention must be one of .* got 'student'"),
        (dict(channel_attention='foreground'), "channel_attention must be one of .* got 'foreground'"),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        RegionDecomposedLoss(**options)

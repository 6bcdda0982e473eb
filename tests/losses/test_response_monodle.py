"""Tests of mono_distill.losses.response_monodle; golden numbers are of the official MonoDistill code."""

import pytest
import torch

from mono_distill.losses import MonoDLEResponseLoss, monodle_response_loss, monodle_response_terms
from mono_distill.utils.errors import ConfigError, ShapeError

OUTPUTS = dict(offset_2d=2, size_2d=2, depth=2, offset_3d=2, size_3d=3, heading=24)
OFFICIAL = dict(heading_slots='all', include_origin_pixel=True)


def head(golden_data, side):
    return {name: torch.from_numpy(golden_data[f'{side}_{name}']).double() for name in OUTPUTS}


def golden_targets(data):
    boxes = torch.from_numpy(data['boxes'])
    return dict(
        bboxes=boxes,
        mask_2d=boxes.any(-1),
        indices=torch.from_numpy(data['indices']),
        heading_bin=torch.from_numpy(data['heading_bin']).squeeze(-1),
    )


def test_terms_equal_official_ones(golden):
    data = golden('monodistill_head_dense')
    terms = monodle_response_terms(head(data, 'student'), head(data, 'teacher'), golden_targets(data), **OFFICIAL)
    for name, term in terms.items():
        expected = data[f'term_{name.replace("_2d", "2d").replace("_3d", "3d")}_f64'].item()
        # The official code keeps some normalisers in float32.
        torch.testing.assert_close(term.item(), expected, rtol=3e-7, atol=0)


def test_loss_and_gradients_equal_official_ones(golden):
    data = golden('monodistill_head_dense')
    student = {name: output.requires_grad_() for name, output in head(data, 'student').items()}
    loss = monodle_response_loss(student, head(data, 'teacher'), golden_targets(data), **OFFICIAL)
    torch.testing.assert_close(loss.item(), data['total_f64'].item(), rtol=3e-7, atol=0)
    for name, gradient in zip(student, torch.autograd.grad(loss, list(student.values())), strict=True):
        expected = torch.from_numpy(data[f'grad_{name}_f64']).double()
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6 * expected.abs().max().item())


def random_head(batch=2):
    return {name: torch.randn(batch, channels, 6, 8) for name, channels in OUTPUTS.items()}


def objects():
    """Two objects in the first image, one in the second; the second slot there is empty."""
    return dict(
        bboxes=torch.tensor([[[0.0, 0.0, 8.0, 8.0], [12.0, 8.0, 24.0, 20.0]], [[4.0, 4.0, 12.0, 20.0], [0.0] * 4]]),
        indices=torch.tensor([[9, 28], [26, 0]]),
        mask_2d=torch.tensor([[True, True], [True, False]]),
        heading_bin=torch.tensor([[3, 11], [0, 0]]),
    )


def test_identical_heads_have_zero_loss():
    student = random_head()
    assert monodle_response_loss(student, student, objects()) == 0


def test_heading_of_valid_slots_ignores_padding():
    student, teacher, padded = random_head(), random_head(), objects()
    shorter = monodle_response_terms(student, teacher, padded)['heading']
    for name, value in padded.items():
        padded[name] = torch.cat([value, torch.zeros_like(value)], 1)
    assert monodle_response_terms(student, teacher, padded)['heading'] == shorter
    all_slots = monodle_response_terms(student, teacher, padded, heading_slots='all')['heading']
    assert all_slots != shorter


def test_heading_is_the_mean_over_objects():
    student, teacher, targets = random_head(), random_head(), objects()
    expected = []
    for b, n in [(0, 0), (0, 1), (1, 0)]:
        s, t = (out['heading'].flatten(2)[b, :, targets['indices'][b, n]] for out in (student, teacher))
        p, q = torch.distributions.Categorical(logits=s[:12]), torch.distributions.Categorical(logits=t[:12])
        residual = 12 + targets['heading_bin'][b, n]
        expected.append(torch.distributions.kl_divergence(q, p) / 12 + (s[residual] - t[residual]).abs())
    term = monodle_response_terms(student, teacher, targets)['heading']
    torch.testing.assert_close(term, torch.stack(expected).mean())


def test_heatmap_and_the_scale_of_the_depth_are_not_imitated():
    student, teacher = random_head(), random_head()
    expected = monodle_response_loss(student, teacher, objects())
    student['heatmap'] = torch.randn(2, 3, 6, 8)
    student['depth'] = torch.cat([student['depth'][:, :1], torch.randn(2, 1, 6, 8)], 1)
    assert monodle_response_loss(student, teacher, objects()) == expected


def test_origin_pixel_counts_only_if_asked_for():
    student = random_head()
    teacher = {name: output.clone() for name, output in student.items()}
    teacher['size_3d'][:, :, 0, 0] += 1
    assert monodle_response_loss(student, teacher, objects()) == 0
    assert monodle_response_loss(student, teacher, objects(), include_origin_pixel=True) > 0


@pytest.mark.parametrize('missing', ['heading', 'offset_3d'])
@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_missing_outputs_are_named(side, missing):
    heads = dict(student=random_head(), teacher=random_head())
    del heads[side][missing]
    with pytest.raises(ConfigError, match=f"{side}: needs '{missing}', got only: "):
        monodle_response_loss(**heads, targets=objects())


def test_outputs_of_wrong_shape_are_named():
    teacher = random_head()
    teacher['size_3d'] = torch.zeros(2, 4, 6, 8)
    with pytest.raises(ShapeError, match=r"teacher: 'size_3d' has shape \(2, 4, 6, 8\), expected \(2, 3, 6, 8\)"):
        monodle_response_loss(random_head(), teacher, objects())


def test_targets_of_another_batch_are_refused():
    with pytest.raises(ShapeError, match=r"targets: 'bboxes' has shape \(2, 2, 4\), expected \(3, \*, 4\)"):
        monodle_response_loss(random_head(3), random_head(3), objects())


def test_unknown_slots_are_refused_when_built():
    with pytest.raises(ConfigError, match="heading_slots must be 'valid' or 'all', got 'some'"):
        MonoDLEResponseLoss('some')

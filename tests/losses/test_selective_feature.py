"""Tests of mono_distill.losses.selective_feature; golden numbers are of the official MonoSTL code."""

import math

import pytest
import torch

from mono_distill.losses import foreground_l2_loss, selective_feature
from mono_distill.losses.selective_feature import SelectiveFeatureLoss, selective_feature_loss
from mono_distill.utils.errors import ConfigError, ShapeError


def levels(data, name):
    return [torch.from_numpy(data[f'{name}_{i}']).double() for i in range(3)]


def golden_targets(data, case):
    boxes = torch.from_numpy(data['boxes' if case == 'clean' else 'boxes_quirk'])
    return dict(bboxes=boxes, mask_2d=boxes.any(-1), indices=torch.from_numpy(data['indices_all']))


def assert_equals_golden(data, key, loss, student):
    # The official code keeps confidences and the number of pixels in float32.
    torch.testing.assert_close(loss.item(), data[f'{key}_loss_f64'].item(), rtol=1e-6, atol=0)
    for i, gradient in enumerate(torch.autograd.grad(loss, student)):
        expected = torch.from_numpy(data[f'{key}_grad{i}_f64']).double()
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6 * expected.abs().max().item())


@pytest.mark.parametrize('case', ['clean', 'quirk'])
@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_loss_and_gradients_equal_official_ones(golden, side, case):
    data = golden('monostl_feature_relation')
    student = [level.requires_grad_() for level in levels(data, 'student3')]
    log_scale = torch.from_numpy(data[f'{side}_logvar']).double()
    loss = selective_feature_loss(
        student,
        levels(data, 'teacher3'),
        log_scale,
        golden_targets(data, case),
        weight_by=side,
        origin_weight=0.01,
        negative_indices='wrap',
    )
    assert_equals_golden(data, f'dasfd_{case}_{side}_weight', loss, student)


@pytest.mark.parametrize('case', ['clean', 'quirk'])
def test_objects_without_any_confidence_give_the_official_unweighted_loss(golden, case):
    data = golden('monostl_feature_relation')
    student = [level.requires_grad_() for level in levels(data, 'student3')]
    log_scale = torch.full((2, 50), torch.inf, dtype=torch.float64)
    loss = selective_feature_loss(
        student, levels(data, 'teacher3'), log_scale, golden_targets(data, case), negative_indices='wrap'
    )
    assert_equals_golden(data, f'fgdiv10_{case}', loss, student)
    plain = foreground_l2_loss(
        student, levels(data, 'teacher3'), golden_targets(data, case), ref_batch=10, negative_indices='wrap'
    )
    torch.testing.assert_close(loss, plain, rtol=1e-6, atol=0)


def example():
    """Two images of 32 x 48 pixels at stride 8: overlapping objects in the first, one object in the second."""
    none = [0.0] * 4
    targets = dict(
        bboxes=torch.tensor([[[0.0, 0.0, 24.0, 16.0], [8.0, 8.0, 40.0, 24.0]], [[8.0, 8.0, 24.0, 24.0], none]]),
        mask_2d=torch.tensor([[True, True], [True, False]]),
        indices=torch.tensor([[1, 2], [3, 0]]),
    )
    return torch.randn(2, 3, 4, 6), torch.randn(2, 3, 4, 6), torch.rand(2, 2) * 2, targets


def literal(student, teacher, log_scale, targets, weight_by, normalizer, overlap):
    """The formula for one level at stride 8 and B = 1, pixel after pixel."""
    total, divisor = 0.0, 0.0
    for b, y, x in [(b, y, x) for b in range(2) for y in range(4) for x in range(6)]:
        weights = []
        for j, (x1, y1, x2, y2) in enumerate(targets['bboxes'][b].tolist()):
            confidence = min(1.0, math.exp(-log_scale[b, j]))
            if int(x1 / 8) <= x < int(x2 / 8) and int(y1 / 8) <= y < int(y2 / 8):
                weights.append(1 - confidence if weight_by == 'student' else confidence)
        if not weights or not teacher[b, :, y, x].any():
            continue
        weight = weights[-1] if overlap == 'last' else max(weights)
        total += weight * ((student - teacher)[b, :, y, x] ** 2 / 2).mean().item()
        divisor += 1 if normalizer == 'pixels' else weight
    return total / divisor


@pytest.mark.parametrize('weight_by', ['student', 'teacher'])
@pytest.mark.parametrize('normalizer', ['pixels', 'weights'])
@pytest.mark.parametrize('overlap', ['last', 'max'])
def test_loss_is_its_formula(weight_by, normalizer, overlap):
    student, teacher, log_scale, targets = example()
    teacher[0, :, 1, 1] = 0.0
    options = dict(weight_by=weight_by, normalizer=normalizer, overlap=overlap)
    loss = selective_feature_loss(student, teacher, log_scale, targets, strides=[8], ref_batch=1, **options)
    assert loss.item() == pytest.approx(literal(student, teacher, log_scale, targets, **options), rel=1e-5)


def test_object_known_to_a_metre_by_the_student_is_left_out():
    student, teacher, log_scale, targets = example()
    log_scale[0], log_scale[1, 0] = -0.5, math.log(4.0)
    student.requires_grad_()
    loss = selective_feature_loss(student, teacher, log_scale, targets, strides=[8])
    (gradient,) = torch.autograd.grad(loss, student)
    assert not gradient[0].any()
    assert gradient[1, :, 1:3, 1:3].all()


def test_constant_difference_gives_half_its_square_times_the_weight():
    _, teacher, _, targets = example()
    log_scale = torch.full((2, 2), math.log(4.0))
    for weight_by, weight in (('student', 0.75), ('teacher', 0.25)):
        loss = selective_feature_loss(
            teacher + 2, teacher, log_scale, targets, strides=[8], ref_batch=1, weight_by=weight_by
        )
        torch.testing.assert_close(loss, torch.tensor(2 * weight))


def test_weighted_mean_does_not_depend_on_the_scale_of_the_weights():
    student, teacher, _, targets = example()
    losses = [
        selective_feature_loss(
            student,
            teacher,
            torch.full((2, 2), log_scale),
            targets,
            strides=[8],
            weight_by='teacher',
            normalizer='weights',
        )
        for log_scale in (0.0, 5.0)
    ]
    torch.testing.assert_close(*losses)


def test_log_scale_is_read_at_the_centres_of_a_map():
    student, teacher, log_scale, targets = example()
    depth = torch.full((2, 2, 4, 6), float('nan'))
    depth[:, 1] = 9.0
    depth[:, 1].flatten(1).scatter_(1, targets['indices'], log_scale)
    by_map = selective_feature_loss(student, teacher, depth, targets, strides=[8])
    torch.testing.assert_close(by_map, selective_feature_loss(student, teacher, log_scale, targets, strides=[8]))


def test_log_variance_is_twice_the_log_scale():
    student, teacher, log_scale, targets = example()
    torch.testing.assert_close(
        SelectiveFeatureLoss([8], param='variance')(student, teacher, 2 * log_scale, targets),
        SelectiveFeatureLoss([8])(student, teacher, log_scale, targets),
    )


def test_uncertainty_receives_no_gradient():
    student, teacher, log_scale, targets = example()
    log_scale.requires_grad_()
    selective_feature_loss(student.requires_grad_(), teacher, log_scale, targets, strides=[8]).backward()
    assert log_scale.grad is None


def test_fixed_weight_holds_at_the_origin_only():
    student, teacher, log_scale, targets = example()
    plain = selective_feature_loss(student, teacher, log_scale, targets, strides=[8])
    assert selective_feature_loss(student, teacher, log_scale, targets, strides=[8], origin_weight=0.01) == plain
    targets['indices'] = torch.zeros(2, 2, dtype=torch.long)
    flat = selective_feature_loss(student, teacher, log_scale, targets, strides=[8], origin_weight=0.01)
    torch.testing.assert_close(100 * flat, foreground_l2_loss(student, teacher, targets, strides=[8], ref_batch=10))


def test_boxes_of_invalid_slots_do_not_count():
    student, teacher, log_scale, targets = example()
    expected = selective_feature_loss(student, teacher, log_scale, targets, strides=[8])
    targets['bboxes'][1, 1] = torch.tensor([0.0, 0.0, 48.0, 32.0])
    log_scale[1, 1] = float('nan')
    assert selective_feature_loss(student, teacher, log_scale, targets, strides=[8]) == expected


def test_two_processes_share_the_divisor_of_the_whole_batch(monkeypatch):
    student, teacher, log_scale, targets = example()
    whole = selective_feature_loss(student, teacher, log_scale, targets, strides=[8])
    parts = [
        (student[b], teacher[b], log_scale[b], {name: value[b] for name, value in targets.items()})
        for b in (slice(0, 1), slice(1, 2))
    ]
    divisors = []
    monkeypatch.setattr(selective_feature, 'mean_over_ranks', lambda x: divisors.append(x) or x)
    for part in parts:
        selective_feature_loss(*part, strides=[8])
    monkeypatch.setattr(selective_feature, 'mean_over_ranks', lambda x: torch.stack(divisors[:2]).mean(0))
    losses = [selective_feature_loss(*part, strides=[8]) for part in parts]
    torch.testing.assert_close(torch.stack(losses).mean(), whole)


def test_reference_batch_of_none_is_the_batch():
    arguments = example()
    torch.testing.assert_close(
        SelectiveFeatureLoss([8], ref_batch=None)(*arguments) * 2, SelectiveFeatureLoss([8])(*arguments) * 10
    )


def test_strides_must_match_the_levels():
    with pytest.raises(ShapeError, match=r'1 levels but strides=\(8, 16, 32\); give one per level'):
        selective_feature_loss(*example())


@pytest.mark.parametrize('shape', [(2, 3), (2, 3, 4), (1, 2, 4, 6)])
def test_log_scales_that_fit_no_object_are_refused(shape):
    student, teacher, _, targets = example()
    with pytest.raises(ShapeError, match=r'expected one number per object \(2, 2\) or a map \(2, C, h, w\)'):
        selective_feature_loss(student, teacher, torch.zeros(shape), targets, strides=[8])


@pytest.mark.parametrize('missing', ['bboxes', 'mask_2d', 'indices'])
def test_missing_targets_are_named(missing):
    student, teacher, log_scale, targets = example()
    del targets[missing]
    with pytest.raises(ConfigError, match=f"needs '{missing}', got only: "):
        selective_feature_loss(student, teacher, log_scale, targets, strides=[8])


def test_targets_must_agree_in_their_slots():
    student, teacher, log_scale, targets = example()
    targets['mask_2d'] = targets['mask_2d'][:, :1]
    with pytest.raises(ShapeError, match=r"'mask_2d' has shape \(2, 1\), expected \(2, 2\)"):
        selective_feature_loss(student, teacher, log_scale, targets, strides=[8])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(weight_by='both'), "weight_by must be 'student' or 'teacher', got 'both'"),
        (dict(normalizer='mask'), "normalizer must be 'pixels' or 'weights', got 'mask'"),
        (dict(overlap='first'), "overlap must be 'last' or 'max', got 'first'"),
        (dict(negative_indices='quirk'), "negative_indices must be 'clip' or 'wrap', got 'quirk'"),
        (dict(ref_batch=0), 'ref_batch must be a positive number of images or None, got 0'),
        (dict(param='sigma'), "unknown param 'sigma'"),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        SelectiveFeatureLoss(**options)


def test_options_are_shown():
    assert "weight_by='teacher', param='scale', normalizer='pixels'" in repr(SelectiveFeatureLoss(weight_by='teacher'))

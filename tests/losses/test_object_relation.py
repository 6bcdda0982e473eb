"""Tests of mono_distill.losses.object_relation; golden numbers are of the official MonoSTL code."""

import math

import pytest
import torch

from mono_distill.losses import object_relation
from mono_distill.losses.object_relation import (
    RoIAffinityLoss,
    SelectiveRelationLoss,
    roi_affinity_loss,
    selective_relation_loss,
)
from mono_distill.ops.roi_align import roi_align
from mono_distill.utils.errors import ConfigError, ShapeError


def levels(data, name):
    return [torch.from_numpy(data[f'{name}_{i}']).double() for i in range(3)]


def golden_targets(data, case):
    """The official code takes slots with a centre for objects."""
    indices = torch.from_numpy(data['indices_all'])
    boxes = torch.from_numpy(data['boxes' if case == 'clean' else 'boxes_quirk'])
    return dict(bboxes=boxes, mask_2d=indices != 0, indices=indices)


def assert_equals_golden(data, key, loss, student):
    torch.testing.assert_close(loss.item(), data[f'{key}_loss_f64'].item(), rtol=1e-12, atol=0)
    for i, gradient in enumerate(torch.autograd.grad(loss, student)):
        expected = torch.from_numpy(data[f'{key}_grad{i}_f64']).double()
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6 * expected.abs().max().item())


@pytest.mark.parametrize('case', ['clean', 'quirk'])
def test_relation_loss_and_gradients_equal_official_ones(golden, case):
    data = golden('monostl_feature_relation')
    student = [level.requires_grad_() for level in levels(data, 'student3')]
    log_scale = torch.from_numpy(data['teacher_logvar']).double()
    loss = selective_relation_loss(student, levels(data, 'teacher3'), log_scale, golden_targets(data, case))
    assert_equals_golden(data, f'dasrd_{case}', loss, student)


@pytest.mark.parametrize('case', ['clean', 'quirk'])
def test_affinity_and_gradients_equal_official_ones(golden, case):
    data = golden('monostl_feature_relation')
    student = [level.requires_grad_() for level in levels(data, 'student3')]
    loss = roi_affinity_loss(student, levels(data, 'teacher3'), golden_targets(data, case))
    assert_equals_golden(data, f'roiaff_{case}', loss, student)


def example():
    """Two images of 32 x 48 pixels at stride 8: two objects in the first, one in the second, in its second slot."""
    none = [0.0] * 4
    targets = dict(
        bboxes=torch.tensor([[[0.0, 0.0, 24.0, 16.0], [8.0, 8.0, 40.0, 24.0]], [none, [8.0, 8.0, 24.0, 24.0]]]),
        mask_2d=torch.tensor([[True, True], [False, True]]),
        indices=torch.tensor([[1, 2], [0, 3]]),
    )
    return torch.randn(2, 3, 4, 6), torch.randn(2, 3, 4, 6), torch.randn(2, 2), targets


OBJECTS = [(0, 0), (0, 1), (1, 1)]


def literal(student, teacher, log_scale, targets, power=2):
    """The formula over all objects of one level, pair after pair, with the log term of the official code."""
    features = [roi_align(x, targets['bboxes'], stride=8) for x in (student, teacher)]
    total, count = 0.0, len(OBJECTS)
    for i in OBJECTS:
        for j in OBJECTS:
            spread = math.exp(log_scale[i]) ** 2 + math.exp(log_scale[j]) ** 2
            s, t = ((x[i] * x[j]).sum().item() / spread + math.log(spread) for x in features)
            total += abs(s - t) / count**2
    return 0.5 * total / count**power


def test_loss_is_its_formula():
    arguments = example()
    assert selective_relation_loss(*arguments, strides=[8]).item() == pytest.approx(literal(*arguments), rel=1e-5)


def test_exponent_of_the_number_of_objects():
    arguments = example()
    loss = selective_relation_loss(*arguments, strides=[8], object_power=0.5)
    assert loss.item() == pytest.approx(literal(*arguments, power=0.5), rel=1e-5)


def test_without_uncertainty_it_is_a_quarter_of_the_affinity():
    student, teacher, _, targets = example()
    loss = selective_relation_loss(student, teacher, torch.zeros(2, 2), targets, strides=[8])
    torch.testing.assert_close(4 * loss, roi_affinity_loss(student, teacher, targets, strides=[8]))


def test_one_object_of_constant_features():
    # Bins: 4 channels times 49 entries, inner products 4 * 49 * 9 and 4 * 49; sigma 2 gives 1 / (4 + 4).
    targets = dict(bboxes=torch.tensor([[[0.0, 0.0, 16.0, 16.0]]]), mask_2d=torch.tensor([[True]]))
    targets['indices'] = torch.tensor([[0]])
    ones, log_scale = torch.ones(1, 4, 2, 2), torch.full((1, 1), math.log(2.0))
    torch.testing.assert_close(roi_affinity_loss(3 * ones, ones, targets, strides=[8]), torch.tensor(1568.0))
    torch.testing.assert_close(
        selective_relation_loss(3 * ones, ones, log_scale, targets, strides=[8]), torch.tensor(98.0)
    )


def test_pairs_within_images_average_over_the_images_with_objects():
    student, teacher, log_scale, targets = example()
    student, teacher = torch.cat([student, student[:1]]), torch.cat([teacher, teacher[:1]])
    targets = {name: torch.cat([value, torch.zeros_like(value[:1])]) for name, value in targets.items()}
    log_scale = torch.cat([log_scale, log_scale[:1]])
    loss = selective_relation_loss(student, teacher, log_scale, targets, strides=[8], pairs='image')
    single = [
        selective_relation_loss(
            student[b], teacher[b], log_scale[b], {name: value[b] for name, value in targets.items()}, strides=[8]
        )
        for b in (slice(0, 1), slice(1, 2), slice(2, 3))
    ]
    assert single[2] == 0
    torch.testing.assert_close(loss, (single[0] + single[1]) / 2)


def test_pairs_within_images_make_two_processes_equal_one(monkeypatch):
    student, teacher, _, targets = example()
    options = dict(strides=[8], pairs='image')
    whole = roi_affinity_loss(student, teacher, targets, **options)
    parts = [
        (student[b], teacher[b], {name: value[b] for name, value in targets.items()})
        for b in (slice(0, 1), slice(1, 2))
    ]
    losses = two_processes(monkeypatch, lambda part: roi_affinity_loss(*part, **options), parts)
    torch.testing.assert_close(torch.stack(losses).mean(), whole)


def test_pairs_of_a_process_are_divided_by_the_mean_counts_of_the_processes(monkeypatch):
    student, teacher, _, targets = example()
    parts = [
        (student[b], teacher[b], {name: value[b] for name, value in targets.items()})
        for b in (slice(0, 1), slice(1, 2))
    ]
    sums = [roi_affinity_loss(*part, strides=[8]) * part[2]['mask_2d'].sum() ** 4 for part in parts]
    counts = torch.stack([part[2]['mask_2d'].sum() for part in parts]).float()
    losses = two_processes(monkeypatch, lambda part: roi_affinity_loss(*part, strides=[8]), parts)
    for loss, total in zip(losses, sums, strict=True):
        torch.testing.assert_close(loss, total / (counts.square().mean() * counts.mean().square()))


def two_processes(monkeypatch, call, parts):
    """Call once for each process, with the counts averaged over both."""
    counts = []

    def keep(values):
        counts.append(values.float())
        return values.float().clamp(min=1)

    monkeypatch.setattr(object_relation, 'global_avg_factors', keep)
    for part in parts:
        call(part)
    mean = torch.stack(counts).mean(0)
    monkeypatch.setattr(object_relation, 'global_avg_factors', lambda _: mean)
    return [call(part) for part in parts]


@pytest.mark.parametrize('pairs', ['process', 'image'])
def test_number_of_objects_can_be_fixed(pairs):
    student, teacher, _, targets = example()
    options = dict(strides=[8], pairs=pairs)
    mean = roi_affinity_loss(student, teacher, targets, object_power=0, **options)
    fixed = roi_affinity_loss(student, teacher, targets, ref_objects=8, **options)
    torch.testing.assert_close(64 * fixed, mean)


def test_empty_slots_may_hold_anything_and_change_nothing():
    student, teacher, log_scale, targets = example()
    expected = selective_relation_loss(student, teacher, log_scale, targets, strides=[8])
    targets['bboxes'][1, 0] = torch.tensor([0.0, 0.0, 48.0, 32.0])
    student.requires_grad_()
    for anything in (float('nan'), float('inf'), -50.0):
        log_scale[1, 0] = anything
        loss = selective_relation_loss(student, teacher, log_scale, targets, strides=[8])
        torch.testing.assert_close(loss, expected)
        assert torch.autograd.grad(loss, student)[0].isfinite().all()
    padded = {name: torch.cat([value, torch.zeros_like(value)], 1) for name, value in targets.items()}
    log_scale = torch.cat([log_scale, torch.zeros(2, 2)], 1)
    torch.testing.assert_close(selective_relation_loss(student, teacher, log_scale, padded, strides=[8]), expected)


def test_order_of_the_objects_does_not_matter():
    student, teacher, log_scale, targets = example()
    flipped = {name: value.flip(1) for name, value in targets.items()}
    torch.testing.assert_close(
        selective_relation_loss(student, teacher, log_scale.flip(1), flipped, strides=[8]),
        selective_relation_loss(student, teacher, log_scale, targets, strides=[8]),
    )


def test_hopelessly_uncertain_objects_neither_count_nor_overflow():
    student, teacher, log_scale, targets = example()
    log_scale[0] = 200.0
    student.requires_grad_()
    loss = selective_relation_loss(student, teacher, log_scale, targets, strides=[8])
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss > 0
    assert not gradient[0].any()
    assert gradient[1].any()
    assert gradient.isfinite().all()


def test_log_variance_is_twice_the_log_scale():
    student, teacher, log_scale, targets = example()
    torch.testing.assert_close(
        SelectiveRelationLoss([8], param='variance')(student, teacher, 2 * log_scale, targets),
        SelectiveRelationLoss([8])(student, teacher, log_scale, targets),
    )


def test_strides_must_match_the_levels():
    with pytest.raises(ShapeError, match=r'1 levels but strides=\(8, 16, 32\); give one per level'):
        selective_relation_loss(*example())


@pytest.mark.parametrize('missing', ['bboxes', 'mask_2d', 'indices'])
def test_missing_targets_are_named(missing):
    student, teacher, log_scale, targets = example()
    del targets[missing]
    with pytest.raises(ConfigError, match=f"selective_relation_loss: needs '{missing}', got only: "):
        selective_relation_loss(student, teacher, log_scale, targets, strides=[8])


def test_affinity_needs_no_centres():
    student, teacher, _, targets = example()
    del targets['indices']
    assert roi_affinity_loss(student, teacher, targets, strides=[8]) > 0


@pytest.mark.parametrize('module', [RoIAffinityLoss, SelectiveRelationLoss])
@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(pairs='batch'), "pairs must be 'process' or 'image', got 'batch'"),
        (dict(object_power=-1), 'object_power must not be negative, got -1'),
        (dict(ref_objects=0), 'ref_objects must be a positive number of objects or None, got 0'),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(module, options, message):
    with pytest.raises(ConfigError, match=message):
        module(**options)


def test_unknown_uncertainties_are_refused_when_built():
    with pytest.raises(ConfigError, match="unknown param 'sigma'"):
        SelectiveRelationLoss(param='sigma')

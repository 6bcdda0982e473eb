"""Tests of mono_distill.losses.response_did; golden numbers are of the official MonoSKD code."""

import pytest
import torch

from mono_distill.losses.heading_distance import heading_distances
from mono_distill.losses.response_did import DIDResponseLoss, did_response_loss, did_response_terms
from mono_distill.utils.errors import ConfigError, ShapeError

DENSE = ('offset_2d', 'size_2d')
PER_OBJECT = ('offset_3d', 'size_3d', 'heading', 'vis_depth', 'att_depth', 'ins_depth')
OFFICIAL = dict(dense_slots='all', include_origin_pixel=True)


def golden_head(data, side):
    """The official lists without padding, put into slots; what is in the empty ones must not matter."""
    valid = torch.from_numpy(data['mask_2d'])
    head = {name: torch.from_numpy(data[f'{side}_{name}']).double() for name in (*DENSE, *PER_OBJECT)}
    for name in PER_OBJECT:
        padded = torch.full((*valid.shape, *head[name].shape[1:]), float('nan'), dtype=torch.float64)
        padded[valid] = head[name]
        head[name] = padded
    return head


def golden_targets(data):
    return dict(
        bboxes=torch.from_numpy(data['boxes']),
        mask_2d=torch.from_numpy(data['mask_2d']),
        heading_bin=torch.from_numpy(data['heading_bin']).squeeze(-1),
    )


def test_terms_equal_official_ones(golden):
    data = golden('monoskd_head_did')
    terms = did_response_terms(
        golden_head(data, 'student'), golden_head(data, 'teacher'), golden_targets(data), **OFFICIAL
    )
    terms['depth'] = sum(terms.pop(f'{part}_depth') for part in ('vis', 'att', 'ins'))
    for name, term in terms.items():
        expected = data[f'term_{name.replace("_2d", "2d").replace("_3d", "3d")}_f64'].item()
        # The official code keeps some normalisers in float32.
        torch.testing.assert_close(term.item(), expected, rtol=3e-7, atol=0)


def test_loss_and_gradients_equal_official_ones(golden):
    data = golden('monoskd_head_did')
    valid = torch.from_numpy(data['mask_2d'])
    student = {name: output.requires_grad_() for name, output in golden_head(data, 'student').items()}
    loss = did_response_loss(student, golden_head(data, 'teacher'), golden_targets(data), **OFFICIAL)
    torch.testing.assert_close(loss.item(), data['total_f64'].item(), rtol=3e-7, atol=0)
    for name, gradient in zip(student, torch.autograd.grad(loss, list(student.values())), strict=True):
        expected = torch.from_numpy(data[f'grad_{name}_f64']).double()
        if name in PER_OBJECT:
            assert not gradient[~valid].any()
            gradient = gradient[valid]
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6 * expected.abs().max().item())


def random_head(batch=2, slots=2):
    shapes = dict.fromkeys(DENSE, (2, 6, 8))
    shapes.update(offset_3d=(slots, 2), size_3d=(slots, 3), heading=(slots, 24))
    shapes.update(dict.fromkeys(('vis_depth', 'att_depth', 'ins_depth'), (slots, 7, 7)))
    return {name: torch.randn(batch, *shape) for name, shape in shapes.items()}


def objects():
    """Two objects in the first image, one in the second; its second slot has a box, but is not valid."""
    return dict(
        bboxes=torch.tensor(
            [
                [[0.0, 0.0, 8.0, 8.0], [12.0, 8.0, 24.0, 20.0]],
                [[4.0, 4.0, 12.0, 20.0], [20.0, 12.0, 28.0, 20.0]],
            ]
        ),
        mask_2d=torch.tensor([[True, True], [True, False]]),
        heading_bin=torch.tensor([[3, 11], [0, 0]]),
    )


def test_outputs_of_objects_are_compared_slot_by_slot():
    student, teacher, targets = random_head(), random_head(), objects()
    terms = did_response_terms(student, teacher, targets)
    slots = [(0, 0), (0, 1), (1, 0)]
    for name in PER_OBJECT:
        distances = [
            heading_distances(student[name][slot], teacher[name][slot], targets['heading_bin'][slot])
            if name == 'heading'
            else (student[name][slot] - teacher[name][slot]).abs().mean()
            for slot in slots
        ]
        torch.testing.assert_close(terms[name], torch.stack(distances).mean())


@pytest.mark.parametrize('dense_slots', ['valid', 'all'])
def test_dense_outputs_are_compared_around_the_objects(dense_slots):
    student, teacher, targets = random_head(), random_head(), objects()
    terms = did_response_terms(student, teacher, targets, dense_slots=dense_slots)
    # Boxes of at most 5 cells have a radius of 0: one pixel each, at the truncated centre.
    pixels = [(0, 1, 1), (0, 3, 4), (1, 3, 2)] + ([(1, 4, 6)] if dense_slots == 'all' else [])
    for name in DENSE:
        distances = [(student[name] - teacher[name])[b, :, y, x].abs().mean() for b, y, x in pixels]
        torch.testing.assert_close(terms[name], torch.stack(distances).mean())


def test_origin_pixel_counts_only_if_asked_for_and_only_with_objects():
    student, targets = random_head(), objects()
    teacher = {name: output.clone() for name, output in student.items()}
    teacher['size_2d'][:, :, 0, 0] += 1
    assert did_response_loss(student, teacher, targets) == 0
    assert did_response_loss(student, teacher, targets, include_origin_pixel=True) > 0
    targets['mask_2d'] = torch.zeros(2, 2, dtype=torch.bool)
    assert did_response_loss(student, teacher, targets, **OFFICIAL) == 0


def test_identical_heads_have_zero_loss():
    student = random_head()
    assert did_response_loss(student, student, objects()) == 0


def test_more_padding_changes_nothing():
    student, teacher, targets = random_head(), random_head(), objects()
    expected = did_response_loss(student, teacher, targets)
    targets = {name: torch.cat([value, torch.zeros_like(value)], 1) for name, value in targets.items()}
    for head in (student, teacher):
        head.update({name: torch.cat([head[name], torch.full_like(head[name], torch.inf)], 1) for name in PER_OBJECT})
    assert did_response_loss(student, teacher, targets) == expected


def test_depth_maps_of_any_size_are_compared():
    heads = [random_head(), random_head()]
    for head in heads:
        head.update({name: head[name][..., :3, :5] for name in ('vis_depth', 'att_depth', 'ins_depth')})
    assert did_response_loss(*heads, objects()).isfinite()


@pytest.mark.parametrize('missing', ['size_2d', 'heading', 'vis_depth'])
@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_missing_outputs_are_named(side, missing):
    heads = dict(student=random_head(), teacher=random_head())
    del heads[side][missing]
    with pytest.raises(ConfigError, match=f"{side}: needs '{missing}', got only: "):
        did_response_loss(**heads, targets=objects())


@pytest.mark.parametrize('name', ['offset_2d', 'offset_3d', 'ins_depth'])
def test_outputs_of_wrong_shape_are_named(name):
    teacher = random_head()
    teacher[name] = teacher[name][..., :1]
    with pytest.raises(ShapeError, match=f"teacher: '{name}' has shape "):
        did_response_loss(random_head(), teacher, objects())


def test_outputs_of_one_head_must_agree_in_their_slots():
    student = random_head()
    student['size_3d'] = student['size_3d'][:, :1]
    with pytest.raises(ShapeError, match=r"student: 'size_3d' has shape \(2, 1, 3\), expected \(2, 2, 3\)"):
        did_response_loss(student, random_head(), objects())


def test_targets_with_other_slots_are_refused():
    with pytest.raises(ShapeError, match=r"targets: 'bboxes' has shape \(2, 2, 4\), expected \(2, 5, 4\)"):
        did_response_loss(random_head(slots=5), random_head(slots=5), objects())


def test_unknown_slots_are_refused_when_built():
    with pytest.raises(ConfigError, match="dense_slots must be 'valid' or 'all', got 'some'"):
        DIDResponseLoss('some')


def test_bins_of_empty_slots_may_hold_anything():
    student, teacher, targets = random_head(), random_head(), objects()
    expected = did_response_loss(student, teacher, targets)
    targets['heading_bin'][1, 1] = -1
    assert did_response_loss(student, teacher, targets) == expected

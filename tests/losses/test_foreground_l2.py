"""Tests of mono_distill.losses.foreground_l2; golden numbers are of the official MonoSKD code."""

import pytest
import torch

from mono_distill.losses import ForegroundL2Loss, foreground_l2_loss
from mono_distill.utils.errors import ConfigError, ShapeError

STRIDES = {3: (8, 16, 32), 4: (4, 8, 16, 32)}


def levels(data, name, count):
    return [torch.from_numpy(data[f'{name}_{i}']).double() for i in range(count)]


def targets(data, case):
    return dict(bboxes=torch.from_numpy(data[f'boxes_{case}']))


@pytest.mark.parametrize(
    ('key', 'teacher', 'boxes', 'options'),
    [
        ('fg3_clean', 'teacher3', 'clean', {}),
        ('fg4_clean', 'teacher4', 'clean', {}),
        ('fg3_clean', 'teacher3', 'clean', dict(negative_indices='wrap')),
        ('fg3_quirk', 'teacher3', 'quirk', dict(negative_indices='wrap')),
        ('fg4_quirk', 'teacher4', 'quirk', dict(negative_indices='wrap')),
        ('fg3_nan', 'teacher3nan', 'clean', {}),
    ],
)
def test_loss_and_gradients_equal_official_ones(golden, key, teacher, boxes, options):
    data = golden('foreground_l2')
    count = int(key[2])
    student = [level.requires_grad_() for level in levels(data, f'student{count}', count)]
    loss = foreground_l2_loss(
        student, levels(data, teacher, count), targets(data, boxes), strides=STRIDES[count], **options
    )
    # The official code keeps the number of pixels in float32.
    torch.testing.assert_close(loss.item(), data[f'{key}_loss_f64'].item(), rtol=1e-6, atol=0)
    for i, gradient in enumerate(torch.autograd.grad(loss, student)):
        expected = torch.from_numpy(data[f'{key}_grad{i}_f64']).double()
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6 * expected.abs().max().item())


def example():
    """One level of two images of 32 x 48 pixels at stride 8, a box in each image and an empty slot."""
    boxes = torch.tensor(
        [[[0.0, 0.0, 16.0, 16.0], [0.0, 0.0, 0.0, 0.0]], [[8.0, 8.0, 40.0, 24.0], [0.0, 0.0, 0.0, 0.0]]]
    )
    return torch.randn(2, 3, 4, 6), torch.randn(2, 3, 4, 6), dict(bboxes=boxes)


def test_only_the_inside_of_boxes_receives_gradient():
    student, teacher, objects = example()
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(foreground_l2_loss(student, teacher, objects, strides=[8]), student)
    touched = gradient.any(1)
    assert touched[0, :2, :2].all()
    assert touched[1, 1:3, 1:5].all()
    assert touched.sum() == 4 + 8


def test_pixels_without_teacher_do_not_count():
    student, teacher, objects = example()
    teacher[1] = 0.0
    only_first = foreground_l2_loss(student[:1], teacher[:1], dict(bboxes=objects['bboxes'][:1]), strides=[8])
    both = foreground_l2_loss(student, teacher, objects, strides=[8])
    torch.testing.assert_close(both, only_first / 2)


def test_constant_difference_gives_half_its_square_over_the_batch():
    _, teacher, objects = example()
    torch.testing.assert_close(foreground_l2_loss(teacher + 3, teacher, objects, strides=[8]), torch.tensor(4.5 / 2))


def test_reference_batch_replaces_the_batch():
    student, teacher, objects = example()
    expected = foreground_l2_loss(student, teacher, objects, strides=[8]) * 2 / 10
    torch.testing.assert_close(ForegroundL2Loss([8], ref_batch=10)(student, teacher, objects), expected)


def test_strides_must_match_the_levels():
    student, teacher, objects = example()
    with pytest.raises(ShapeError, match=r'1 levels but strides=\(8, 16, 32\); give one per level'):
        foreground_l2_loss(student, teacher, objects)


def test_missing_boxes_are_named():
    student, teacher, _ = example()
    with pytest.raises(ConfigError, match="needs 'bboxes', got only: labels"):
        foreground_l2_loss(student, teacher, dict(labels=torch.zeros(2, 1)), strides=[8])


def test_boxes_of_another_batch_are_refused():
    student, teacher, objects = example()
    with pytest.raises(ShapeError, match=r"'bboxes' has shape \(1, 2, 4\), expected \(2, \*, 4\)"):
        foreground_l2_loss(student, teacher, dict(bboxes=objects['bboxes'][:1]), strides=[8])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(negative_indices='quirk'), "must be 'clip' or 'wrap', got 'quirk'"),
        (dict(ref_batch=-1), 'ref_batch must be a positive number of images or None, got -1'),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        ForegroundL2Loss(**options)

"""Tests of mono_distill.losses.key_point."""

import pytest
import torch

from mono_distill.losses import masked
from mono_distill.losses.key_point import key_point_feature_loss, key_point_relation_loss
from mono_distill.ops.box_points import bev_key_points
from mono_distill.ops.point_sampler import sample_bev
from mono_distill.utils.errors import ShapeError

BOTH = pytest.mark.parametrize('loss', [key_point_feature_loss, key_point_relation_loss])


def example():
    student, teacher = torch.randn(2, 2, 4, 9, 6, dtype=torch.float64)
    return student, teacher, torch.tensor([[True, False, True, True], [False, False, True, False]])


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def feature_distance(s, t):
    return sum(abs(float(s[k, c] - t[k, c])) for k in range(9) for c in range(6)) / (9 * 6)


def relation_distance(s, t):
    pairs = [(k, m) for k in range(9) for m in range(9)]
    return sum(abs(cosine(s[k], s[m]) - cosine(t[k], t[m])) for k, m in pairs) / 81


@pytest.mark.parametrize(
    ('loss', 'distance'),
    [(key_point_feature_loss, feature_distance), (key_point_relation_loss, relation_distance)],
)
def test_equals_the_formula_written_out(loss, distance):
    student, teacher, valid = example()
    boxes = [distance(student[b, n], teacher[b, n]) for b, n in valid.nonzero().tolist()]
    assert loss(student, teacher, valid).item() == pytest.approx(sum(boxes) / len(boxes))


@BOTH
def test_invalid_slots_may_hold_anything_and_get_no_gradient(loss):
    student, teacher, valid = example()
    expected = loss(student, teacher, valid)
    student[~valid], teacher[~valid] = float('nan'), float('inf')
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(student, teacher, valid), student)
    assert loss(student, teacher, valid) == expected
    assert gradient.isfinite().all()
    assert not gradient[~valid].any()


@BOTH
def test_without_a_mask_all_boxes_count(loss):
    student, teacher, _ = example()
    everything = torch.ones(2, 4, dtype=torch.bool)
    assert loss(student, teacher) == loss(student, teacher, everything)


@BOTH
def test_boxes_are_counted_over_all_processes(loss, monkeypatch):
    student, teacher, valid = example()
    expected = loss(student, teacher, valid) / 2
    monkeypatch.setattr(masked, 'all_reduce', lambda counts, op: counts.mul_(2))
    torch.testing.assert_close(loss(student, teacher, valid), expected)


def test_relation_does_not_see_the_length_of_a_feature():
    student, teacher, valid = example()
    lengths = torch.rand(2, 4, 9, 1, dtype=torch.float64) + 0.5
    expected = key_point_relation_loss(student, teacher, valid)
    torch.testing.assert_close(key_point_relation_loss(student * lengths, teacher, valid), expected)


def test_relation_does_not_see_a_rotation_of_the_channels():
    student, teacher, valid = example()
    rotation, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    expected = key_point_relation_loss(student, teacher, valid)
    torch.testing.assert_close(key_point_relation_loss(student @ rotation, teacher, valid), expected)


def test_relation_of_features_of_different_width():
    student, teacher, valid = example()
    teacher = torch.randn(2, 4, 9, 3, dtype=torch.float64)
    boxes = [relation_distance(student[b, n], teacher[b, n]) for b, n in valid.nonzero().tolist()]
    loss = key_point_relation_loss(student, teacher, valid)
    assert loss.item() == pytest.approx(sum(boxes) / len(boxes))


def test_points_outside_of_the_map_are_similar_to_nothing():
    student = torch.zeros(1, 1, 9, 6, requires_grad=True)
    loss = key_point_relation_loss(student, torch.ones(1, 1, 9, 6))
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert student.grad.isfinite().all()


def test_a_box_is_compared_where_it_stands():
    # Student and teacher differ in the cells of one car, left of the ego; a car ahead of it sees no difference.
    x_range = y_range = (-8.0, 8.0)
    student, teacher = torch.ones(1, 3, 16, 16), torch.ones(1, 3, 16, 16)
    student[:, :, 12:, 6:10] = 5.0
    left, ahead = [0.0, 6.0, 0.0, 3.0, 2.0, 1.5, 0.0], [6.0, 0.0, 0.0, 3.0, 2.0, 1.5, 0.0]
    points = bev_key_points(torch.tensor([[left, ahead]]))
    features = [sample_bev(x, points, x_range=x_range, y_range=y_range) for x in (student, teacher)]
    assert key_point_feature_loss(*features, torch.tensor([[True, False]])) == 4
    assert key_point_feature_loss(*features, torch.tensor([[False, True]])) == 0


@BOTH
def test_shapes_that_do_not_fit_are_named(loss):
    with pytest.raises(ShapeError, match=r'expected both as \(B, N, K, C\)'):
        loss(torch.zeros(1, 4, 54), torch.zeros(1, 4, 54))

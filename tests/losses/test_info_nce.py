"""Tests of mono_distill.losses.info_nce."""

import math

import pytest
import torch

from mono_distill.adapters.projector import Projector
from mono_distill.distillers.graph import DistillGraph
from mono_distill.losses import masked
from mono_distill.losses.info_nce import InfoNCELoss, info_nce_loss
from mono_distill.utils.errors import ConfigError


def example():
    student, teacher = torch.randn(2, 2, 5, 8, dtype=torch.float64)
    return student, teacher, torch.tensor([[True, True, False, True, True], [False, True, True, False, False]])


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def literal(student, teacher, valid, temperature):
    """Mean over all valid points of the formula, with the points of an image as negatives."""
    losses = []
    for s, t, kept in zip(student, teacher, valid, strict=True):
        slots = kept.nonzero().flatten().tolist()
        for i in slots:
            similarities = [math.exp(cosine(t[i], s[j]) / temperature) for j in slots]
            losses.append(math.log(sum(similarities)) - cosine(t[i], s[i]) / temperature)
    return sum(losses) / len(losses)


@pytest.mark.parametrize('temperature', [0.07, 1.0])
def test_equals_the_formula_written_out(temperature):
    student, teacher, valid = example()
    loss = info_nce_loss(student, teacher, valid, temperature=temperature)
    assert loss.item() == pytest.approx(literal(student, teacher, valid, temperature), rel=1e-6)


def test_one_frame_gives_the_cross_entropy_of_the_diagonal():
    student, teacher = torch.randn(2, 1, 6, 8, dtype=torch.float64)
    student.requires_grad_()
    unit = [torch.nn.functional.normalize(x[0], dim=1) for x in (student, teacher)]
    official = torch.nn.functional.cross_entropy(unit[1] @ unit[0].T / 0.07, torch.arange(6))
    ours = info_nce_loss(student, teacher)
    torch.testing.assert_close(ours, official)
    torch.testing.assert_close(torch.autograd.grad(ours, student), torch.autograd.grad(official, student))


def test_both_directions_are_averaged():
    student, teacher, valid = example()
    there = info_nce_loss(student, teacher, valid)
    back = info_nce_loss(teacher, student, valid)
    torch.testing.assert_close(info_nce_loss(student, teacher, valid, directions='both'), (there + back) / 2)


def test_negatives_of_the_batch_are_those_of_one_long_list():
    student, teacher, valid = example()
    flat = [x.flatten(0, 1).unsqueeze(0) for x in (student, teacher, valid)]
    torch.testing.assert_close(info_nce_loss(student, teacher, valid, negatives='batch'), info_nce_loss(*flat))


def test_points_that_look_alike_cannot_be_told_apart():
    vectors = torch.ones(1, 7, 4)
    assert info_nce_loss(vectors, vectors).item() == pytest.approx(math.log(7), rel=1e-5)


def test_hand_vectors():
    points = torch.eye(2, dtype=torch.float64).unsqueeze(0)
    assert info_nce_loss(points, points, temperature=1.0).item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert info_nce_loss(points.flip(1), points, temperature=1.0).item() == pytest.approx(math.log(1 + math.e))


def test_invalid_slots_may_hold_anything_and_get_no_gradient():
    student, teacher, valid = example()
    expected = info_nce_loss(student, teacher, valid)
    student[~valid], teacher[~valid] = float('nan'), float('inf')
    student.requires_grad_()
    loss = info_nce_loss(student, teacher, valid)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss == expected
    assert gradient.isfinite().all()
    assert not gradient[~valid].any()


def test_a_zero_vector_does_not_send_huge_gradients():
    student, teacher, _ = example()
    student[0, 0] = 0
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(info_nce_loss(student, teacher), student)
    assert gradient.abs().max() < 10


def test_points_are_counted_over_all_processes(monkeypatch):
    student, teacher, valid = example()
    expected = info_nce_loss(student, teacher, valid) / 2
    monkeypatch.setattr(masked, 'all_reduce', lambda counts, op: counts.mul_(2))
    torch.testing.assert_close(info_nce_loss(student, teacher, valid), expected)


def test_the_gradient_reaches_the_projector_of_the_teacher_only_if_asked():
    student, teacher, valid = example()
    teacher.requires_grad_()
    info_nce_loss(student.requires_grad_(), teacher, valid).backward()
    assert teacher.grad is None
    info_nce_loss(student, teacher, valid, train_teacher_projector=True).backward()
    assert teacher.grad[valid].any()


def test_in_a_distiller_both_projectors_learn_and_the_teacher_does_not():
    projector = dict(type='mono_distill.Projector', in_channels=8, out_channels=6)
    graph = DistillGraph(
        ['s', 't'],
        adapters=dict(
            s_projected=dict(**projector, inputs='s'), t_projected=dict(**projector, detach_input=True, inputs='t')
        ),
        losses=dict(
            contrast=dict(
                type='mono_distill.InfoNCELoss',
                train_teacher_projector=True,
                inputs=dict(student='s_projected', teacher='t_projected'),
            )
        ),
    )
    student, teacher, _ = example()
    taps = dict(s=student.float().requires_grad_(), t=teacher.float().requires_grad_())
    graph({**taps, 'data_samples': []})['loss_kd_contrast'].backward()
    assert isinstance(graph.adapters['t_projected'], Projector)
    assert all(parameter.grad is not None for parameter in graph.parameters())
    assert graph.adapters['t_projected'].layers[0].weight.grad.any()
    assert taps['s'].grad.any()
    assert taps['t'].grad is None


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(temperature=0.0), 'temperature must be positive, got 0.0'),
        (dict(directions='student_to_teacher'), "directions must be .* got 'student_to_teacher'"),
        (dict(negatives='queue'), "negatives must be 'image' or 'batch', got 'queue'"),
    ],
)
def test_options_that_do_not_exist_are_refused_when_built(options, message):
    with pytest.raises(ConfigError, match=message):
        InfoNCELoss(**options)

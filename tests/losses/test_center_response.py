"""Tests of mono_distill.losses.center_response."""

from __future__ import annotations

import pytest
import torch

from mono_distill.losses.center_response import center_response_loss
from mono_distill.losses.quality_response import quality_response_loss
from mono_distill.utils.errors import ConfigError, ShapeError

HEIGHT, WIDTH = 3, 5
REGRESSION = dict(reg=2, height=1, dim=3, rot=2, vel=2)


def task(classes=2, batch=2, **without):
    channels = dict(heatmap=classes, **REGRESSION)
    return {name: torch.randn(batch, c, HEIGHT, WIDTH, dtype=torch.float64) for name, c in channels.items()}


def at_cells(maps, cells):
    """What the query form takes: logits and codes of a task read at cells, one after another."""
    rows = []
    for b, row in enumerate(cells.tolist()):
        read = [{name: x[b, :, cell // WIDTH, cell % WIDTH] for name, x in maps.items()} for cell in row]
        rows.append([(r['heatmap'], torch.cat([r[name] for name in REGRESSION if name in r])) for r in read])
    logits, boxes = (torch.stack([torch.stack([pair[i] for pair in row]) for row in rows]) for i in (0, 1))
    return dict(logits=logits, boxes=boxes)


CELLS = torch.tensor([[0, 7, 14], [3, 11, 0]])
QUALITY = torch.tensor([[0.9, 0.5, 0.3], [0.7, 0.2, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize('velocity', [True, False])
@pytest.mark.parametrize(
    'options', [{}, dict(class_divergence='softmax', velocity_weight=1.0, normalizer='pairs'), dict(normalizer='none')]
)
def test_it_is_the_query_form_at_the_cells(options, velocity):
    student, teacher = task(), task()
    if not velocity:
        del student['vel'], teacher['vel']
    loss = center_response_loss(student, teacher, QUALITY, CELLS, **options)
    expected = quality_response_loss(at_cells(student, CELLS), at_cells(teacher, CELLS), QUALITY, **options)
    torch.testing.assert_close(loss, expected)


def test_tasks_share_one_divisor():
    students, teachers = [task(1), task(2)], [task(1), task(2)]
    qualities, cells = [QUALITY, 2 * QUALITY[:, :2]], [CELLS, CELLS[:, 1:]]
    loss = center_response_loss(students, teachers, qualities, cells)
    sums = [
        center_response_loss(*arguments, normalizer='none')
        for arguments in zip(students, teachers, qualities, cells, strict=True)
    ]
    torch.testing.assert_close(loss, sum(sums) / (qualities[0].sum() + qualities[1].sum()), rtol=1e-6, atol=0)


def test_tasks_may_come_as_a_center_head_returns_them():
    students, teachers = [task(1), task(2)], [task(1), task(2)]
    arguments = ([QUALITY] * 2, [CELLS] * 2)
    wrapped = center_response_loss(tuple([x] for x in students), tuple([x] for x in teachers), *arguments)
    assert wrapped == center_response_loss(students, teachers, *arguments)


def test_only_cells_with_quality_receive_gradient():
    student = {name: x.requires_grad_() for name, x in task().items()}
    loss = center_response_loss(student, task(), QUALITY, CELLS)
    for gradient in torch.autograd.grad(loss, list(student.values())):
        touched = gradient.any(1).flatten(1)
        assert touched[0].nonzero().flatten().tolist() == [0, 7, 14]
        assert touched[1].nonzero().flatten().tolist() == [3, 11]


def test_cells_count_along_rows():
    student, teacher = task(), task()
    for name in student:
        student[name][...] = teacher[name]
    student['height'][0, 0, 2, 1] += 4
    cell = torch.tensor([[2 * WIDTH + 1], [0]])
    torch.testing.assert_close(
        center_response_loss(student, teacher, torch.ones(2, 1), cell, normalizer='none').item(), 4.0
    )


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (dict(teacher=[task(), task()]), ShapeError, 'tasks differ: student 1, teacher 2, quality 1, cells 1'),
        (dict(teacher=task(3)), ShapeError, r"task 0: teacher: 'heatmap' has shape .*, expected \(2, 2, 3, 5\)"),
        (dict(student={}), ConfigError, "task 0: student: needs 'heatmap'"),
        (dict(quality=torch.ones(2, 2)), ShapeError, r'quality has shape \(2, 2\) and cells \(2, 3\)'),
        (dict(cells=CELLS[:1], quality=QUALITY[:1]), ShapeError, r'cells \(1, 3\), expected the same, \(2, \*\)'),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_named(change, error, message):
    right = dict(student=task(), teacher=task(), quality=QUALITY, cells=CELLS)
    with pytest.raises(error, match=message):
        center_response_loss(**{**right, **change})


def test_a_teacher_without_velocity_is_named():
    teacher = task()
    del teacher['vel']
    with pytest.raises(ConfigError, match="teacher: needs 'vel'"):
        center_response_loss(task(), teacher, QUALITY, CELLS)

"""Tests of mono_distill.losses.center_detections."""

from __future__ import annotations

import math

import pytest
import torch
from loss_cases.stxd import detected_objects

from mono_distill.losses.center_detections import center_detection_loss
from mono_distill.losses.center_response import center_response_loss
from mono_distill.utils.errors import ConfigError, ShapeError

WIDTH = 4
# The first task has the class 0, the second has 1 and 2.
TASK_OF_LABEL = (0, 1, 1)


def literal(student, teacher, detections, quality):
    """The formula, detection by detection."""
    total, divisor = 0.0, 0.0
    for b, row in enumerate(quality.tolist()):
        for slot, q in enumerate(row):
            if q == 0:
                continue
            cell, label = detections['cells'][b, slot].item(), detections['labels'][b, slot].item()
            ours, theirs = (
                {name: x[b, :, cell // WIDTH, cell % WIDTH].tolist() for name, x in side[TASK_OF_LABEL[label]].items()}
                for side in (student, teacher)
            )
            distance = 0.0
            for name, weight in dict(reg=1.0, height=1.0, dim=1.0, rot=1.0, vel=0.2).items():
                distance += weight * sum(abs(x - y) for x, y in zip(ours[name], theirs[name], strict=True))
            for x, y in zip(ours['heatmap'], theirs['heatmap'], strict=True):
                p, t = 1 / (1 + math.exp(-x)), 1 / (1 + math.exp(-y))
                distance += t * math.log(t / p) + (1 - t) * math.log((1 - t) / (1 - p))
            total, divisor = total + q * distance, divisor + q
    return total / max(divisor, 1.0)


def test_it_equals_the_formula_written_out():
    arguments = detected_objects(torch.float64)
    assert center_detection_loss(**arguments).item() == pytest.approx(literal(**arguments), rel=1e-6)


def test_it_is_the_response_with_the_quality_shared_out_to_the_tasks():
    arguments = detected_objects(torch.float64)
    detections, quality = arguments.pop('detections'), arguments.pop('quality')
    # labels [[0, 2, 1, .], [1, 0, 2, .], [2, ., ., .]]
    first = torch.tensor([[0.9, 0, 0, 0], [0, 0.8, 0, 0], [0, 0, 0, 0]], dtype=torch.float64)
    second = torch.tensor([[0, 0.4, 0.2, 0], [0.3, 0, 0.1, 0], [0.6, 0, 0, 0]], dtype=torch.float64)
    options = dict(class_divergence='softmax', velocity_weight=1.0, normalizer='pairs')
    expected = center_response_loss(**arguments, quality=[first, second], cells=[detections['cells']] * 2, **options)
    assert torch.equal(center_detection_loss(**arguments, detections=detections, quality=quality, **options), expected)


def test_a_detection_reaches_the_task_of_its_class_at_its_cell_only():
    arguments = detected_objects()
    arguments['detections'] = dict(cells=torch.full((3, 1), 6), labels=torch.full((3, 1), 2))
    arguments['quality'] = torch.tensor([[1.0], [0.0], [0.0]])
    for task in arguments['student']:
        task.update({name: x.requires_grad_() for name, x in task.items()})
    center_detection_loss(**arguments).backward()
    touched = arguments['student'][1]['height'].grad.nonzero().tolist()
    assert touched == [[0, 0, 6 // WIDTH, 6 % WIDTH]]
    assert not any(x.grad.any() for x in arguments['student'][0].values())


def test_heads_may_come_as_a_center_head_returns_them():
    arguments = detected_objects()
    wrapped = {side: tuple([task] for task in arguments[side]) for side in ('student', 'teacher')}
    assert center_detection_loss(**{**arguments, **wrapped}) == center_detection_loss(**arguments)


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (dict(quality=torch.zeros(3)), ShapeError, r'quality has shape \(3,\), expected \(B, R\)'),
        (dict(quality=torch.zeros(3, 5)), ShapeError, r"detections: 'cells' has shape \(3, 4\), expected \(3, 5\)"),
        (dict(detections=dict(cells=torch.zeros(3, 4).long())), ConfigError, "detections: needs 'labels'"),
        (dict(teacher=[{}, {}]), ConfigError, "teacher, task 0: needs 'heatmap'"),
        (dict(normalizer='sum'), ConfigError, 'normalizer must be'),
    ],
)
def test_what_does_not_fit_is_named(change, error, message):
    with pytest.raises(error, match=message):
        center_detection_loss(**{**detected_objects(), **change})


def test_heads_of_other_tasks_are_refused():
    arguments = detected_objects()
    arguments['student'] = arguments['student'][:1]
    with pytest.raises(ShapeError, match='numbers of tasks differ'):
        center_detection_loss(**arguments)

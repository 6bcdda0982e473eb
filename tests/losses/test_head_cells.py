"""Tests of mono_distill.losses.head_cells."""

from __future__ import annotations

import math

import pytest
import torch

from mono_distill.losses import head_cells
from mono_distill.losses.center_response import center_response_loss

BATCH, WIDTH = 2, 5
REGRESSION = dict(reg=2, height=1, dim=3, rot=2, vel=2)


def task(classes, *, height=3, velocity=True):
    channels = dict(heatmap=classes, **REGRESSION)
    if not velocity:
        del channels['vel']
    return {name: torch.randn(BATCH, c, height, WIDTH, dtype=torch.float64) for name, c in channels.items()}


def heads(*tasks):
    """Student, teacher, quality and cells; every task has cells of its own, and fewer of them than the one before."""
    cells = [torch.randint(15, (BATCH, 6 - index)) for index in range(len(tasks))]
    quality = [torch.rand(x.shape, dtype=torch.float64) * (torch.rand(x.shape) < 0.7) for x in cells]
    return [task(**options) for options in tasks], [task(**options) for options in tasks], quality, cells


def literal(students, teachers, qualities, cells, softmax=False):
    """The sum of quality times distance, cell by cell and channel by channel."""
    total = 0.0
    for student, teacher, quality, places in zip(students, teachers, qualities, cells, strict=True):
        for b, row in enumerate(places.tolist()):
            for slot, cell in enumerate(row):
                s, t = (
                    {n: x[b, :, cell // WIDTH, cell % WIDTH] for n, x in side.items()} for side in (student, teacher)
                )
                weights = {name: 0.2 if name == 'vel' else 1.0 for name in s if name != 'heatmap'}
                distance = sum(w * (s[name] - t[name]).abs().sum().item() for name, w in weights.items())
                distance += divergence(s['heatmap'].tolist(), t['heatmap'].tolist(), softmax)
                total += quality[b, slot].item() * distance
    return total


def divergence(student, teacher, softmax):
    if softmax:
        p, q = ([math.exp(x) / sum(map(math.exp, side)) for x in side] for side in (teacher, student))
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    p, q = ([1 / (1 + math.exp(-x)) for x in side] for side in (teacher, student))
    return sum(a * math.log(a / b) + (1 - a) * math.log((1 - a) / (1 - b)) for a, b in zip(p, q, strict=True))


SIX = [dict(classes=n) for n in (1, 2, 2, 1, 2, 2)]
MIXED = [dict(classes=1), dict(classes=2, height=4), dict(classes=3, velocity=False), dict(classes=2)]


@pytest.mark.parametrize('tasks', [SIX, SIX[:1], MIXED], ids=['alike', 'one', 'of several grids'])
@pytest.mark.parametrize('at_once', [True, False])
@pytest.mark.parametrize('kind', ['bernoulli', 'softmax'])
def test_it_is_the_sum_written_out(monkeypatch, tasks, at_once, kind):
    monkeypatch.setattr(head_cells, '_is_gathered_at_once', lambda device: at_once)
    arguments = heads(*tasks)
    loss = center_response_loss(*arguments, class_divergence=kind, normalizer='none')
    assert loss.item() == pytest.approx(literal(*arguments, softmax=kind == 'softmax'), rel=1e-9)


@pytest.mark.parametrize('same_cells', [True, False])
def test_both_ways_of_reading_have_the_same_gradient(monkeypatch, same_cells):
    students, teachers, quality, cells = heads(*SIX)
    if same_cells:
        cells, quality = [cells[0]] * 6, [quality[0]] * 6
    leaves = [x.requires_grad_() for maps in students for x in maps.values()]
    found = []
    for at_once in (True, False):
        monkeypatch.setattr(head_cells, '_is_gathered_at_once', lambda device, at_once=at_once: at_once)
        loss = center_response_loss(students, teachers, quality, cells)
        found.append([loss, *torch.autograd.grad(loss, leaves)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_the_same_cells_for_all_tasks_count_like_copies_of_them():
    students, teachers, quality, cells = heads(*SIX)
    shared = center_response_loss(students, teachers, [quality[0]] * 6, [cells[0]] * 6)
    copies = center_response_loss(students, teachers, [quality[0]] * 6, [cells[0].clone() for _ in SIX])
    assert torch.equal(shared, copies)


def test_cells_of_quality_zero_may_hold_anything():
    students, teachers, quality, cells = heads(*SIX[:2])
    quality[1][0] = 0.0
    expected = center_response_loss(students, teachers, quality, cells)
    free = set(range(15)) - {cell for row in cells[1][1:].tolist() for cell in row}
    assert free
    students[1]['vel'][0], teachers[1]['heatmap'][0] = math.nan, math.inf
    assert torch.equal(center_response_loss(students, teachers, quality, cells), expected)

"""Tests of mono_distill.ops.prediction_matching."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch

from mono_distill.ops.prediction_matching import hungarian_matching, mutual_nearest_matching, prediction_cost
from mono_distill.utils.errors import ConfigError, NonFiniteError, ShapeError


def predictions(*shape, entries=10):
    return dict(
        logits=torch.randn(*shape, 3, dtype=torch.float64), boxes=torch.randn(*shape, entries, dtype=torch.float64)
    )


def least_total(cost):
    """The least cost of pairing min(S, T) predictions, by trying all."""
    rows, columns = cost.shape
    if rows > columns:
        return least_total(cost.T)
    if rows == 0:
        return 0.0
    return min(
        sum(cost[r, c].item() for r, c in enumerate(chosen)) for chosen in itertools.permutations(range(columns), rows)
    )


def listed(pairs):
    """The valid pairs of one problem."""
    chosen = pairs['valid']
    return list(zip(pairs['student'][chosen].tolist(), pairs['teacher'][chosen].tolist(), strict=True))


@pytest.mark.parametrize(('students', 'teachers'), [(3, 5), (5, 3), (4, 4), (0, 3), (3, 0)])
def test_hungarian_pairs_cost_the_least(students, teachers):
    cost = torch.randn(3, students, teachers, dtype=torch.float64)
    pairs = hungarian_matching(cost)
    assert all(index.shape == (3, min(students, teachers)) for index in pairs.values())
    for b in range(3):
        found = listed({name: index[b] for name, index in pairs.items()})
        assert len(found) == min(students, teachers)
        assert len({s for s, _ in found}) == len({t for _, t in found}) == len(found)
        assert sum(cost[b, s, t].item() for s, t in found) == pytest.approx(least_total(cost[b]))


def test_predictions_that_do_not_exist_are_left_alone():
    cost = torch.randn(2, 4, 5, dtype=torch.float64)
    student_valid = torch.tensor([[True, True, False, True], [True] * 4])
    teacher_valid = torch.tensor([[True, False, True, True, False], [False] * 5])
    cost[0, 2], cost[0, :, 1] = float('nan'), -1e9
    pairs = hungarian_matching(cost, student_valid, teacher_valid)
    found = listed({name: index[0] for name, index in pairs.items()})
    inside = cost[0][student_valid[0]][:, teacher_valid[0]]
    assert sum(cost[0, s, t].item() for s, t in found) == pytest.approx(least_total(inside))
    assert all(student_valid[0, s] and teacher_valid[0, t] for s, t in found)
    assert not pairs['valid'][1].any()
    assert pairs['student'].min() >= 0


def test_layers_and_images_are_solved_in_one_transfer(monkeypatch):
    cost = torch.randn(6, 2, 5, 3)
    transfers = []
    plain = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, 'cpu', lambda x: transfers.append(x.shape) or plain(x))
    pairs = hungarian_matching(cost, teacher_valid=torch.tensor([[True, True, False], [True] * 3]))
    assert len(transfers) == 1
    assert pairs['valid'].sum(-1).tolist() == [[2, 3]] * 6
    for layer, b in itertools.product(range(6), range(2)):
        alone = hungarian_matching(cost[layer, b], teacher_valid=None if b else torch.tensor([True, True, False]))
        assert listed({name: index[layer, b] for name, index in pairs.items()}) == listed(alone)


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf')])
def test_costs_that_are_no_numbers_are_refused(bad):
    cost = torch.zeros(2, 3, 3)
    cost[1, 0, 2] = bad
    with pytest.raises(NonFiniteError, match='problem 1 of 2 has costs that are NaN or infinite'):
        hungarian_matching(cost)


def test_missing_scipy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'scipy.optimize', None)
    with pytest.raises(ConfigError, match='needs scipy, which is not installed.*mutual_nearest_matching'):
        hungarian_matching(torch.zeros(1, 2, 2))


def test_mutual_nearest_pairs_are_the_cheapest_of_both():
    cost = torch.randn(4, 6, 5)
    pairs = mutual_nearest_matching(cost)
    for b in range(4):
        found = listed({name: index[b] for name, index in pairs.items()})
        expected = [
            (s, t)
            for t in range(5)
            for s in range(6)
            if cost[b, s, t] == cost[b, s].min() and cost[b, s, t] == cost[b, :, t].min()
        ]
        assert found == expected
        assert found


def test_mutual_nearest_ignores_predictions_that_do_not_exist():
    cost = torch.tensor([[0.0, 5.0], [3.0, 1.0], [2.0, 0.5]])
    pairs = mutual_nearest_matching(cost, torch.tensor([False, True, True]), torch.tensor([True, True]))
    assert listed(pairs) == [(2, 1)]
    assert not mutual_nearest_matching(cost, torch.zeros(3, dtype=torch.bool))['valid'].any()
    assert not mutual_nearest_matching(cost, None, torch.zeros(2, dtype=torch.bool))['valid'].any()


@pytest.mark.parametrize(('students', 'teachers'), [(0, 3), (3, 0)])
def test_mutual_nearest_without_predictions_pairs_nothing(students, teachers):
    pairs = mutual_nearest_matching(torch.zeros(2, students, teachers))
    assert pairs['valid'].shape == (2, teachers)
    assert not pairs['valid'].any()


def test_where_hungarian_has_no_conflict_both_agree():
    student = predictions(2, 7)
    teacher = {name: x[:, [4, 0, 6]] + 0.01 for name, x in student.items()}
    cost = prediction_cost(student, teacher, box_weight=2.0)
    nearest, hungarian = mutual_nearest_matching(cost), hungarian_matching(cost)
    assert nearest['student'].tolist() == [[4, 0, 6]] * 2
    assert nearest['valid'].all()
    assert hungarian['student'].tolist() == [[0, 4, 6]] * 2
    assert hungarian['teacher'].tolist() == [[1, 0, 2]] * 2


def test_cost_equals_the_loops():
    student, teacher = predictions(2, 4), predictions(2, 3)
    cost = prediction_cost(student, teacher, class_weight=0.7, box_weight=0.3)
    for b, s, t in itertools.product(range(2), range(4), range(3)):
        p, target = student['logits'][b, s].sigmoid(), teacher['logits'][b, t].sigmoid()
        classes = -(target * p.log() + (1 - target) * (1 - p).log()).sum()
        boxes = (student['boxes'][b, s, :8] - teacher['boxes'][b, t, :8]).abs().sum()
        torch.testing.assert_close(cost[b, s, t], 0.7 * classes + 0.3 * boxes)


def test_decoder_layers_share_the_teacher():
    student, teacher = predictions(6, 2, 4), predictions(2, 3)
    cost = prediction_cost(student, teacher)
    assert cost.shape == (6, 2, 4, 3)
    last = {name: x[5] for name, x in student.items()}
    torch.testing.assert_close(cost[5], prediction_cost(last, teacher))


def test_cost_has_no_gradient_and_full_precision():
    student = {name: x.float().half().requires_grad_() for name, x in predictions(2, 4).items()}
    teacher = {name: x.float().half() for name, x in predictions(2, 3).items()}
    with torch.autocast('cpu', dtype=torch.bfloat16):
        cost = prediction_cost(student, teacher)
    assert not cost.requires_grad
    assert cost.dtype == torch.float32
    raised = ({name: x.float() for name, x in side.items()} for side in (student, teacher))
    assert torch.equal(cost, prediction_cost(*raised))


def test_inputs_that_do_not_fit_are_named():
    with pytest.raises(ConfigError, match="student needs 'boxes', got only: logits"):
        prediction_cost(dict(logits=torch.zeros(2, 1)), predictions(2))
    with pytest.raises(ShapeError, match=r'boxes of the student \(2, 10\) and of the teacher \(2, 8\) differ'):
        prediction_cost(predictions(2), predictions(2, entries=8))
    with pytest.raises(ShapeError, match=r'teacher_valid is torch.bool \(1, 2\) for costs \(1, 2, 3\); .*3 entries'):
        hungarian_matching(torch.zeros(1, 2, 3), teacher_valid=torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ShapeError, match=r'student_valid is torch.float32 \(1, 2\)'):
        mutual_nearest_matching(torch.zeros(1, 2, 3), torch.ones(1, 2))
    with pytest.raises(ShapeError, match=r'cost has shape \(3,\), expected \(..., students, teachers\)'):
        hungarian_matching(torch.zeros(3))

"""Tests of mono_distill.ops.object_matching."""

import math

import pytest
import torch

from mono_distill.ops.object_matching import object_cost
from mono_distill.utils.errors import ShapeError


def inputs(dtype=torch.float32):
    return (
        torch.randn(3, 2, 4, 5, dtype=dtype),
        torch.randn(3, 2, 4, 10, dtype=dtype),
        torch.randint(0, 5, (2, 6)),
        torch.randn(2, 6, 10, dtype=dtype),
    )


def literal(logit, box, goal, class_weight, box_weight):
    p = 1 / (1 + math.exp(-logit))
    classes = -0.25 * (1 - p) ** 2 * math.log(p) + 0.75 * p**2 * math.log(1 - p)
    return class_weight * classes + box_weight * float((box - goal)[:8].abs().sum())


@pytest.mark.parametrize('weights', [(2.0, 0.25), (0.5, 1.0)])
def test_costs_are_those_of_the_formula(weights):
    logits, boxes, labels, goals = inputs(torch.float64)
    cost = object_cost(logits, boxes, labels, goals, class_weight=weights[0], box_weight=weights[1])
    for layer, b, q, n in torch.cartesian_prod(*[torch.arange(size) for size in (3, 2, 4, 6)]):
        expected = literal(float(logits[layer, b, q, labels[b, n]]), boxes[layer, b, q], goals[b, n], *weights)
        assert float(cost[layer, b, q, n]) == pytest.approx(expected, abs=1e-9)


def test_velocity_does_not_count():
    logits, boxes, labels, goals = inputs()
    goals[..., 8:] = torch.nan
    assert object_cost(logits, boxes, labels, goals).isfinite().all()


def test_sure_predictions_have_finite_costs():
    logits, boxes, labels, goals = inputs()
    assert object_cost(logits * 1e4, boxes, labels, goals).isfinite().all()


def test_nothing_is_learned_from_costs():
    logits, boxes, labels, goals = inputs()
    assert not object_cost(logits.requires_grad_(), boxes, labels, goals).requires_grad
    assert object_cost(logits.detach().bfloat16(), boxes, labels, goals).dtype == torch.float32


def test_shapes_that_do_not_fit_are_named():
    logits, boxes, labels, goals = inputs()
    with pytest.raises(ShapeError, match='with D of at least 8'):
        object_cost(logits, boxes[..., :7], labels, goals[..., :7])
    with pytest.raises(ShapeError, match='object_labels'):
        object_cost(logits, boxes, labels[:, :5], goals)

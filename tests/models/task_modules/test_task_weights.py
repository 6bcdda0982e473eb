from __future__ import annotations

import pytest
import torch

from mono_distill.models.task_modules.task_weights import TaskWeights


def losses(size=2.0, depth=4.0):
    return {'size': torch.tensor(size, requires_grad=True), 'depth': torch.tensor(depth, requires_grad=True)}


def test_weights_are_one_until_they_are_set():
    assert {k: v.item() for k, v in TaskWeights(['size', 'depth'])(losses()).items()} == {'size': 2.0, 'depth': 4.0}


def test_a_weight_of_zero_keeps_the_gradient_connected():
    weights = TaskWeights(['size', 'depth'])
    weights.set({'depth': 0.0})
    given = losses()
    weights(given)['depth'].backward()
    assert given['depth'].grad == 0


def test_unweighted_losses_are_averaged_over_training_steps():
    weights = TaskWeights(['size', 'depth'])
    weights.set({'size': 0.5})
    weights.recording = True
    weights(losses(1.0))
    weights(losses(4.0))
    weights.eval()(losses(100.0))
    assert weights.pop_means() == {'size': pytest.approx(2.5), 'depth': pytest.approx(4.0)}
    assert weights.pop_means() is None


def test_nothing_is_recorded_or_saved_unasked():
    weights = TaskWeights(['size', 'depth'])
    weights(losses())
    assert weights.pop_means() is None
    assert weights.state_dict() == {}

from types import SimpleNamespace

import pytest
import torch
from toy import ToyDetector, build_distiller

from mono_distill.hooks import StrictLoadHook
from mono_distill.utils.errors import CheckpointError


def load(model, state):
    checkpoint = dict(state_dict=state)
    StrictLoadHook().after_load_checkpoint(SimpleNamespace(model=model), checkpoint)
    return checkpoint['state_dict']


def test_a_distillation_checkpoint_loses_its_extras_for_the_plain_student():
    assert set(load(ToyDetector(), build_distiller().state_dict())) == set(ToyDetector().state_dict())


def test_a_plain_checkpoint_starts_a_distillation():
    state = ToyDetector().state_dict()
    assert load(build_distiller(), dict(state)) == state


def test_a_checkpoint_of_another_architecture_is_refused():
    with pytest.raises(CheckpointError, match=r'does not fit ToyDetector: \d of another shape \(backbone.0.weight'):
        load(ToyDetector(), ToyDetector(channels=8).state_dict())
    with pytest.raises(CheckpointError, match=r'8 parameters missing'):
        load(
            ToyDetector(norm=True),
            {
                'unrelated': torch.ones(1),
                'neck.weight': ToyDetector().neck.weight,
                'neck.bias': ToyDetector().neck.bias,
            },
        )

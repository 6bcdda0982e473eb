import random

import numpy as np
import torch

from mono_distill.hooks.random_state import random_state, set_random_state


def draw():
    return torch.rand(1).item(), np.random.rand(), random.random()


def test_a_restored_state_draws_the_same_numbers():
    state = random_state()
    first = draw()
    assert draw() != first
    set_random_state(state)
    assert draw() == first


def test_the_state_survives_a_safe_checkpoint(tmp_path):
    torch.save(random_state(), tmp_path / 'state.pth')
    first = draw()
    set_random_state(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert draw() == first

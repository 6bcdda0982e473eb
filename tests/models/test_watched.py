"""Tests of mono_distill.models.watched."""

from torch import nn

from mono_distill.models.watched import is_watched


def test_a_hook_on_a_module_or_a_part_of_it_watches_it():
    for place in ((), (0,)):
        for register in ('register_forward_hook', 'register_forward_pre_hook'):
            module = nn.Sequential(nn.Linear(1, 1))
            assert not is_watched(module)
            part = module[0] if place else module
            handle = getattr(part, register)(lambda *_: None)
            assert is_watched(module)
            handle.remove()
            assert not is_watched(module)

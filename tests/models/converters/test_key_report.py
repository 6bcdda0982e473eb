from __future__ import annotations

import pytest
import torch

from mono_distill.models.converters import KeyReport, compare_state
from mono_distill.utils.errors import CheckpointError


def tensors(**shapes):
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def test_equal_states_are_complete():
    state = tensors(a=2, b=(3, 1))
    report = compare_state(state, state)
    assert report.complete
    assert report.loaded == ('a', 'b')
    report.require_complete('it')


def test_every_difference_is_listed():
    report = compare_state(tensors(a=2, b=3, x=1), tensors(a=2, b=4, c=1), dropped=['fc'])
    assert report == KeyReport(('a',), ('fc',), missing=('c',), unexpected=('x',), mismatched=('b: (3,) vs (4,)',))
    assert not report.complete


def test_batch_counters_and_named_keys_may_be_missing():
    expected = {'norm.num_batches_tracked': torch.zeros(()), 'spare': torch.zeros(1), 'a': torch.zeros(1)}
    assert compare_state(tensors(a=1), expected, may_miss={'spare'}).complete


def test_an_incomplete_report_is_refused_with_the_keys():
    report = compare_state(tensors(), tensors(**{f'k{i}': 1 for i in range(7)}))
    with pytest.raises(CheckpointError, match=r'weights\.pth does not fit the model.*7 missing \(k0, .*and 2 more\)'):
        report.require_complete('weights.pth')

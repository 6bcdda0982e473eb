"""A checkpoint fits or is refused with the names of what does not."""

from __future__ import annotations

import logging

import pytest
import torch
from toy import ToyDetector, build_distiller

from mono_distill.apis.inference.weights import load_detector_weights
from mono_distill.utils.errors import CheckpointError


def saved(path, state):
    torch.save({'state_dict': state, 'meta': {}}, path)
    return str(path)


def test_the_weights_are_those_of_the_file(tmp_path):
    torch.manual_seed(1)
    trained = ToyDetector()
    model = ToyDetector()
    load_detector_weights(model, saved(tmp_path / 'a.pth', trained.state_dict()))
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in model.state_dict().items())


def test_a_distillations_checkpoint_loads_its_student_without_a_word(tmp_path, caplog):
    distiller = build_distiller()
    model = ToyDetector()
    with caplog.at_level(logging.WARNING, logger='mono_distill'):
        load_detector_weights(model, saved(tmp_path / 'a.pth', distiller.state_dict()))
    assert caplog.text == ''
    student = distiller.student.state_dict()
    assert all(torch.equal(value, student[key]) for key, value in model.state_dict().items())


def test_missing_parameters_are_counted_and_named(tmp_path):
    state = ToyDetector().state_dict()
    del state['neck.weight'], state['neck.bias']
    with pytest.raises(
        CheckpointError, match=r'a.pth does not fit ToyDetector.*2 parameters missing \(neck.weight, nec'
    ):
        load_detector_weights(ToyDetector(), saved(tmp_path / 'a.pth', state))


def test_other_shapes_are_named_with_both(tmp_path):
    path = saved(tmp_path / 'a.pth', ToyDetector(channels=8).state_dict())
    with pytest.raises(CheckpointError, match=r'of another shape \(backbone.0.weight \(8, .*\) instead of \('):
        load_detector_weights(ToyDetector(), path)


def test_entries_of_something_else_are_named_in_a_warning(tmp_path, caplog):
    state = {**ToyDetector().state_dict(), 'aux_head.weight': torch.ones(1)}
    with caplog.at_level(logging.WARNING, logger='mono_distill'):
        load_detector_weights(ToyDetector(), saved(tmp_path / 'a.pth', state))
    assert '1 unknown to the model (aux_head.weight)' in caplog.text


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match='nowhere.pth'):
        load_detector_weights(ToyDetector(), str(tmp_path / 'nowhere.pth'))

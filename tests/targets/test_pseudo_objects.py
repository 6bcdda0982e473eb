from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from mono_distill.losses import monodle_response_loss
from mono_distill.targets import PseudoObjects, pseudo_objects
from mono_distill.utils.errors import ConfigError

HEIGHT, WIDTH = 6, 8


def teacher_with(*peaks):
    """A head's output for two images, with peaks (image, x, y, probability) on boxes of 4 x 2 cells, heading bin 7."""
    heat = torch.full((2, 3, HEIGHT, WIDTH), -9.0)
    for image, x, y, probability in peaks:
        heat[image, 1, y, x] = torch.logit(torch.tensor(probability))
    heading = torch.zeros(2, 24, HEIGHT, WIDTH)
    heading[:, 7] = 1
    return {
        'heatmap': heat,
        'offset_2d': torch.full((2, 2, HEIGHT, WIDTH), 0.5),
        'size_2d': torch.tensor([4.0, 2.0]).view(1, 2, 1, 1).expand(2, 2, HEIGHT, WIDTH),
        'heading': heading,
    }


def annotations():
    return {
        'bboxes': torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]).expand(2, 1, 4),
        'indices': torch.tensor([[3], [0]]),
        'mask_2d': torch.tensor([[True], [False]]),
        'heading_bin': torch.tensor([[2], [0]]),
    }


LABELLED = torch.tensor([True, False])


def valid(objects, image):
    return {name: value[image][objects['mask_2d'][image]].tolist() for name, value in objects.items()}


def test_a_labelled_image_keeps_its_annotations_and_ignores_the_teacher():
    objects = pseudo_objects(annotations(), teacher_with((0, 5, 2, 0.9)), LABELLED)
    assert valid(objects, 0) == {
        'bboxes': [[1, 2, 3, 4]],
        'indices': [3],
        'mask_2d': [True],
        'heading_bin': [2],
    }


def test_an_unlabelled_image_has_the_detections_of_the_teacher():
    objects = pseudo_objects(annotations(), teacher_with((1, 5, 2, 0.9), (1, 2, 4, 0.2)), LABELLED)
    # Middle (5.5, 2.5) cells, 4 x 2 cells, four pixels a cell; the weak peak is left out.
    assert valid(objects, 1) == {
        'bboxes': [[14.0, 6.0, 30.0, 14.0]],
        'indices': [2 * WIDTH + 5],
        'mask_2d': [True],
        'heading_bin': [7],
    }


def test_only_local_maxima_count():
    objects = pseudo_objects(annotations(), teacher_with((1, 5, 2, 0.9), (1, 6, 2, 0.8)), LABELLED)
    assert valid(objects, 1)['indices'] == [2 * WIDTH + 5]


def test_the_response_loss_reaches_the_student_in_an_unlabelled_image_only_at_detections():
    teacher = teacher_with((1, 5, 2, 0.9))
    names = dict(offset_2d=2, size_2d=2, offset_3d=2, size_3d=3, depth=2, heading=24)
    theirs = {name: torch.ones(2, count, HEIGHT, WIDTH) for name, count in names.items()}
    ours = {name: torch.zeros_like(value, requires_grad=True) for name, value in theirs.items()}
    objects = pseudo_objects({**annotations(), 'mask_2d': torch.zeros(2, 1, dtype=torch.bool)}, teacher, LABELLED)
    monodle_response_loss(ours, theirs, objects).backward()
    touched = ours['depth'].grad.abs().sum(1) > 0
    assert not touched[0].any()
    assert touched[1].nonzero().tolist() == [[2, 5]]


def test_data_samples_say_which_images_are_labelled():
    samples = [SimpleNamespace(metainfo={}), SimpleNamespace(metainfo={'labelled': False})]
    module = PseudoObjects(score_thr=0.5)
    objects = module(annotations(), teacher_with((1, 5, 2, 0.6), (0, 5, 2, 0.6)), samples)
    assert objects['mask_2d'].sum(1).tolist() == [1, 1]
    assert valid(objects, 0)['indices'] == [3]


def test_a_threshold_that_is_no_probability_is_refused():
    with pytest.raises(ConfigError, match='between 0 and 1'):
        PseudoObjects(score_thr=1.5)

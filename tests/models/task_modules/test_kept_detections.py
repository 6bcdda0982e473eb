from __future__ import annotations

import pickle

import torch
from mmdet3d.structures import CameraInstance3DBoxes

from mono_distill.models.task_modules.kept_detections import kept_detections


def fields():
    return dict(boxes_3d=torch.rand(3, 4, 7), scores_3d=torch.rand(3, 4), bboxes_2d=torch.rand(3, 4, 4))


def test_every_image_gets_what_it_keeps_in_the_given_order():
    values = fields()
    keep = torch.tensor([[True, False, True, True], [False] * 4, [False, True, False, False]])
    results = kept_detections(keep, **values)
    assert [len(result) for result in results] == [3, 0, 1]
    for i, result in enumerate(results):
        assert isinstance(result.bboxes_3d, CameraInstance3DBoxes)
        assert torch.equal(result.bboxes_3d.tensor, values['boxes_3d'][i, keep[i]])
        assert torch.equal(result.scores_3d, values['scores_3d'][i, keep[i]])
        assert torch.equal(result.bboxes_2d, values['bboxes_2d'][i, keep[i]])


def test_results_can_be_indexed_and_sent_between_processes():
    (first, *_) = kept_detections(torch.ones(3, 4, dtype=torch.bool), **fields())
    assert set(first.keys()) == {'bboxes_3d', 'scores_3d', 'bboxes_2d'}
    assert len(first[first.scores_3d > 2]) == 0
    assert torch.equal(pickle.loads(pickle.dumps(first)).scores_3d, first.scores_3d)


def test_nothing_kept_keeps_the_shapes():
    for result in kept_detections(torch.zeros(3, 4, dtype=torch.bool), **fields()):
        assert result.bboxes_3d.tensor.shape == (0, 7)
        assert result.bboxes_2d.shape == (0, 4)
